/**
 * Recognizes by the tables which migrations were applied without a marker.
 *
 * @module
 */
import { formatCount } from "../base/format.ts";
import type { Connection } from "../database/connection.ts";
import type { Migration } from "../migration/migration.ts";
import { compareSchemas } from "../schema/compare.ts";
import { describeDifference, type Difference, type Schema } from "../schema/model.ts";
import { readSchema } from "../schema/read.ts";
import type { TableConflict } from "./assess.ts";
import { buildMigratedSchemaSteps } from "../schema/migrated_schema.ts";

/** What is known of a database with tables but no markers. */
interface AdoptionSubject {
  /** The database's migrations, in order. */
  readonly migrations: readonly Migration[];
  /** Ids of migrations that are applied according to the ledger. */
  readonly recorded: ReadonlySet<string>;
}

/** Which migrations can be adopted, and which conflict. */
interface AdoptionResult {
  /** Ids of the migrations whose tables all exist with the expected schema. */
  readonly adoptable: readonly string[];
  /** Tables that migrations would create but that exist with a different schema. */
  readonly conflicting: readonly TableConflict[];
}

/**
 * Determines from the tables alone which migrations of a database were applied: finds the last
 * migration after which all tables that they create in memory exist with the same schema. Ignores missing
 * or different indexes and views, which `verify` reports and `repair` fixes.
 */
export async function findAdoptable(
  connection: Connection,
  subject: AdoptionSubject,
): Promise<AdoptionResult> {
  const { migrations, recorded } = subject;
  if (migrations.length === 0) return { adoptable: [], conflicting: [] };
  const actual = await readSchema(connection);
  const expected = await buildMigratedSchemaSteps(migrations);
  // Otherwise the migrations stay pending and run on the existing tables.
  if (!expected.known) return { adoptable: [], conflicting: [] };
  const schemas = expected.steps.map(({ schema }) => schema);
  let reached = 0;
  for (let count = migrations.length; count > 0 && reached === 0; count--) {
    const schema = schemas[count - 1];
    if (schema === undefined || schema.tables.length === 0) continue;
    if (tableDifferences(schema, actual).length === 0) reached = count;
  }
  // The tables do not show a migration that changes no table; the ledger decides.
  while (reached > 1 && !recorded.has(migrations[reached - 1]?.id ?? "")) {
    if (!sameTables(schemas[reached - 2], schemas[reached - 1])) break;
    reached--;
  }
  const adoptable = migrations.slice(0, reached).map(({ id }) => id);
  return { adoptable, conflicting: conflicts(schemas, { reached, migrations, actual }) };
}

/** Tables that pending migrations would create but that exist with a different schema. */
function conflicts(
  schemas: readonly Schema[],
  { reached, migrations, actual }: {
    readonly reached: number;
    readonly migrations: readonly Migration[];
    readonly actual: Schema;
  },
): TableConflict[] {
  const adopted = new Set(schemas[reached - 1]?.tables.map(({ name }) => name.toLowerCase()));
  const present = new Set(actual.tables.map(({ name }) => name.toLowerCase()));
  const last = schemas.at(-1);
  if (last === undefined) return [];
  const tables = last.tables.filter(({ name }) =>
    present.has(name.toLowerCase()) && !adopted.has(name.toLowerCase())
  );
  const differences = tableDifferences({ tables, indexes: [], views: [], triggers: [] }, actual);
  return tables.flatMap(({ name }) => {
    const own = differences.filter(({ table }) => table?.toLowerCase() === name.toLowerCase());
    if (own.length === 0) return [];
    const creator = schemas.findIndex((schema) => schema.tables.some((one) => one.name === name));
    return [{
      table: name,
      migration: migrations[creator]?.id ?? "a migration",
      summary: summarizeDifferences(own),
      differences: own.map(describeDifference),
    }];
  });
}

/** Summarizes the differences of one table in numbers. */
function summarizeDifferences(differences: readonly Difference[]): string {
  const count = (of: (one: Difference) => boolean) => differences.filter(of).length;
  const isColumn = ({ type }: Difference) => type === "column";
  const isCheck = ({ type, detail }: Difference) => type === "table" && /\bcheck\b/i.test(detail);
  const missing = count((one) => isColumn(one) && one.kind === "missing");
  const extra = count((one) => isColumn(one) && one.kind === "extra");
  const changed = count((one) => isColumn(one) && one.kind === "different");
  const checks = count(isCheck);
  const others = count((one) => !isColumn(one) && !isCheck(one));
  return [
    missing === 0 ? "" : `${formatCount(missing, "column")} missing`,
    extra === 0 ? "" : `${missing === 0 ? formatCount(extra, "column") : extra} extra`,
    changed === 0 ? "" : `${formatCount(changed, "column")} defined differently`,
    checks === 0 ? "" : `${formatCount(checks, "check")} ${checks === 1 ? "differs" : "differ"}`,
    others === 0 ? "" : formatCount(others, "other difference"),
  ].filter((part) => part !== "").join(", ");
}

function tableDifferences(expected: Schema, actual: Schema): Difference[] {
  const wanted = new Set(expected.tables.map(({ name }) => name.toLowerCase()));
  const differences = compareSchemas(expected, actual);
  return differences.filter(({ type, table }) =>
    (type === "table" || type === "column") && table !== null && wanted.has(table.toLowerCase())
  );
}

function sameTables(a: Schema | undefined, b: Schema | undefined): boolean {
  return JSON.stringify(a?.tables) === JSON.stringify(b?.tables);
}

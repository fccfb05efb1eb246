/**
 * Checks what a migration did before it is committed: lost rows, broken foreign keys and objects.
 *
 * @module
 */
import { SchemaConflictError, StatementError } from "../base/errors.ts";
import { type Connection, type Row, text } from "../database/connection.ts";
import { needsExtension } from "../database/failure.ts";
import {
  canonical,
  howToDeclare,
  type Migration,
  type MigrationBody,
  type Registry,
} from "../migration/migration.ts";
import { describeDifference } from "../schema/model.ts";
import { countRows, usersTables } from "../schema/tables.ts";
import { fold, quoteName } from "../sql/tokens.ts";
import { readMarkers } from "../state/marker.ts";
import { type Allowance, failedCheck } from "./explain_failure.ts";
import type { RowLoss } from "./row_copies.ts";

/** What to compare before and after a migration, inside its transaction. */
export interface RowObservation {
  /** Number of rows by table. */
  readonly rows: ReadonlyMap<string, number>;
  /** Foreign key violations, one key for each. */
  readonly violations: ReadonlySet<string>;
}

/** A statement without any of these words can neither lose a row nor violate a foreign key. */
const TOUCHES_ROWS = /\b(alter|delete|drop|insert|pragma|replace|update)\b/i;

/** To SQLite, `$name(--)` is a variable, and what follows is not a comment. */
const VARIABLE_WITH_SUFFIX = /[$@:#][\w$:\x80-\uFFFF]+\(/;

/** Whether a migration's body may change rows, so that they must be counted. */
export function mayTouchRows(body: MigrationBody): boolean {
  if (typeof body !== "string") return true;
  if (!TOUCHES_ROWS.test(body)) return false;
  // A comment may contain such a word, too.
  return VARIABLE_WITH_SUFFIX.test(body) || TOUCHES_ROWS.test(canonical(body));
}

/** Counts rows and foreign key violations. Takes time proportional to the number of rows. */
export async function observeRows(connection: Connection): Promise<RowObservation> {
  return { rows: await countRows(connection), violations: await findViolations(connection) };
}

async function findViolations(connection: Connection): Promise<Set<string>> {
  const rows = await checkForeignKeys(connection);
  const keys = rows.filter(({ rowid }) => rowid !== null)
    .map((row) => [text(row, "table"), text(row, "parent"), String(row["rowid"])]);
  if (keys.length < rows.length) {
    const { keysWithoutRowid } = await import("../schema/integrity.ts");
    keys.push(...await keysWithoutRowid(connection, rows.filter(({ rowid }) => rowid === null)));
  }
  // A row with two foreign keys may occur twice.
  const times = new Map<string, number>();
  return new Set(keys.map((key) => {
    const name = JSON.stringify(key);
    const time = (times.get(name) ?? 0) + 1;
    times.set(name, time);
    return time === 1 ? name : JSON.stringify([...key, time]);
  }));
}

async function checkForeignKeys(connection: Connection): Promise<Row[]> {
  try {
    return await connection.all("PRAGMA main.foreign_key_check");
  } catch (error) {
    if (!isUncheckable(error)) throw error;
  }
  const rows: Row[] = [];
  for (const { name, type } of await usersTables(connection)) {
    if (type === "virtual") continue;
    try {
      rows.push(...await connection.all(`PRAGMA main.foreign_key_check(${quoteName(name)})`));
    } catch (error) {
      if (!isUncheckable(error)) throw error;
    }
  }
  return rows;
}

/**
 * A foreign key that references columns without a UNIQUE constraint, or that needs a collation of the
 * bot, cannot be checked, before or after the migration.
 */
function isUncheckable(error: unknown): boolean {
  return needsExtension(error) ||
    (error instanceof StatementError && /foreign key mismatch/.test(error.message));
}

/**
 * Compares the state before and after a migration.
 *
 * @throws {MigrationFailedError} if rows were lost without being declared, or rows newly reference
 * missing rows.
 */
export function compareObservations(
  before: RowObservation,
  after: RowObservation,
  allowed: Allowance,
): void {
  const lost = lostRows(before.rows, after.rows)
    .filter(({ table }) => !isDeclared(table, allowed));
  if (lost.length > 0) {
    const what = lost.map(({ table, rows }) => `${rows} of table "${table}"`).join(", ");
    throw failedCheck(
      allowed,
      allowed.direction === "downgrade"
        ? `it would lose rows that were not confirmed: ${what}`
        : `it would lose rows that it does not declare: ${what}`,
      allowed.direction === "downgrade"
        ? "run the command again, in case rows were added in the meantime; or fix the downgrade; or, " +
          `if the loss is intended, declare it: ${howToDeclare(lost.map(({ table }) => table))}`
        : `name the tables whose rows it may destroy in the migration's "destroys"; for a table ` +
          `rebuild, turn foreign keys off, or the DROP TABLE empties child tables`,
    );
  }
  const broken = brokenReferences(before, after);
  if (broken !== null) {
    throw failedCheck(allowed, broken, "delete or correct those rows in the same migration");
  }
}

/**
 * Refuses the loss of rows that were replaced by others.
 *
 * @throws {MigrationFailedError} if rows were lost without being declared.
 */
export function refuseReplacedRows(losses: readonly RowLoss[], allowed: Allowance): void {
  const lost = losses.filter(({ table }) => !isDeclared(table, allowed));
  if (lost.length === 0) return;
  const what = lost.map(({ table, rows, fault }) =>
    fault === null ? `${rows} of table "${table}"` : `table "${table}": ${fault}`
  ).join(", ");
  throw failedCheck(
    allowed,
    `it would lose rows or values that it does not declare: ${what}`,
    "copy each column by name and keep every key; or name the tables whose rows it may destroy " +
      `in the migration's "destroys"`,
  );
}

function isDeclared(table: string, { destroys }: Allowance): boolean {
  return destroys.some((one) => fold(one) === fold(table));
}

/** Says which rows newly reference missing rows; null if there are none. */
export function brokenReferences(
  before: Pick<RowObservation, "violations">,
  after: Pick<RowObservation, "violations">,
): string | null {
  const broken = [...after.violations].filter((key) => !before.violations.has(key));
  if (broken.length === 0) return null;
  const tables = [...new Set(broken.map((key) => JSON.parse(key).slice(0, 2).join(" to ")))];
  return `${broken.length} ${broken.length === 1 ? "row" : "rows"} would reference missing rows (${
    tables.join(", ")
  })`;
}

/** Tables with fewer rows than before. A missing table counts as renamed if a new one has its size. */
export function lostRows(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
): { table: string; rows: number }[] {
  const newCounts = [...after].filter(([table]) => !before.has(table)).map(([, rows]) => rows);
  return [...before].flatMap(([table, rows]) => {
    const left = after.get(table);
    if (left !== undefined) return left < rows ? [{ table, rows: rows - left }] : [];
    const renamed = newCounts.indexOf(rows);
    if (rows === 0) return [];
    if (renamed === -1) return [{ table, rows }];
    newCounts.splice(renamed, 1);
    return [];
  });
}

/** Folded names of all tables, views, indexes and triggers. */
export async function objectNames(connection: Connection): Promise<Set<string>> {
  const rows = await connection.all("SELECT name FROM main.sqlite_schema");
  return new Set(rows.map((row) => fold(text(row, "name"))));
}

/**
 * Refuses a migration that breaks a view, trigger or foreign key that worked before. New objects may
 * depend on a later migration.
 *
 * @throws {MigrationFailedError} if it breaks one; the message names the first.
 */
export function compareObjects(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
  allowed: Allowance,
): void {
  for (const [object, reason] of after) {
    if (before.has(object)) continue;
    const help = "change or drop it in the same migration";
    throw failedCheck(allowed, `it breaks ${object}: ${reason}`, help);
  }
}

/**
 * Checks that the objects that a migration creates have the same schema as in an empty database: with
 * `IF NOT EXISTS`, SQLite silently keeps an existing object with a different schema.
 *
 * @throws {SchemaConflictError} if they differ; the message names each difference.
 */
export async function requireExpectedShape(
  connection: Connection,
  migration: Migration,
  registry: Registry,
): Promise<void> {
  const { markers } = await readMarkers(connection);
  const earlier = (markers ?? []).flatMap(({ id }) => registry.byId.get(id) ?? []);
  // Loaded here because few migrations need it.
  const [{ buildMigratedSchemaSteps }, { readSchema }, { compareSchemas }] = await Promise.all([
    import("../schema/migrated_schema.ts"),
    import("../schema/read.ts"),
    import("../schema/compare.ts"),
  ]);
  const expected = await buildMigratedSchemaSteps([...earlier, migration]);
  const created = expected.known ? expected.steps.at(-1)?.made : undefined;
  if (created === undefined) return;
  const actual = await readSchema(connection);
  const differences = compareSchemas(created, actual).filter((one) => one.kind !== "extra");
  if (differences.length === 0) return;
  throw new SchemaConflictError(
    `Cannot apply ${migration.name} to ${migration.database}: existing objects differ: ` +
      differences.map(describeDifference).join("; "),
    {
      migration: migration.name,
      database: migration.database,
      help: "rename or correct the existing objects, then run upgrade again. Nothing was changed.",
    },
  );
}

/** Whether an upgrade accepts existing objects. */
export function mayFindExisting(migration: Migration): boolean {
  return typeof migration.upgrade !== "string" || /\bif\s+not\s+exists\b/i.test(migration.upgrade);
}

import { driverMessage } from "../database/failure.ts";
import { firstLine, isPragmaOn, OUTSIDE_ONLY, turnForeignKeys } from "../migration/body.ts";
import { howToDeclare } from "../migration/migration.ts";
import { compareSchemas } from "../schema/compare.ts";
import { findNamed, normalize, quoteName, sameName } from "../sql/tokens.ts";
import { rowChanges } from "./authorizer.ts";
import type { Fault } from "./finding.ts";
import { failureReason, type RecordedBody, type RecordedStatement } from "./recorder.ts";
import { mismatch, type Reversal, type SimulatedUpgrade } from "./simulation.ts";

/** Statements that are forbidden, have no effect, or fail if there are rows. */
export function statementFaults(simulated: Pick<SimulatedUpgrade, "migration" | "run">): Fault[] {
  const { migration, run } = simulated;
  return run.statements.flatMap((statement): Fault[] => {
    if (statement.forbidden !== null) {
      return [{
        code: "forbidden-statement",
        place: statement,
        reason: `it may not run ${
          JSON.stringify(firstLine(statement.sql))
        }: ${statement.forbidden}`,
        fix: /^\s*VACUUM\b/i.test(statement.sql)
          ? 'put it into a separate migration with transaction:false on the "-- migrate:up" line'
          : "remove the statement",
      }];
    }
    if (statement.ineffective !== null) {
      const { pragma, value } = statement.ineffective;
      const isSet = pragma === "foreign_keys" &&
        isPragmaOn(value) === (migration.foreignKeys !== false);
      return [{
        code: "ineffective-pragma",
        severity: isSet ? "warning" : "error",
        place: statement,
        reason: isSet
          ? `PRAGMA ${pragma} has no effect: ${OUTSIDE_ONLY}`
          : `it may not run PRAGMA ${pragma}: ${OUTSIDE_ONLY}`,
        fix: pragma !== "foreign_keys"
          ? "remove it; the connection's settings are applied when a database is opened"
          : isSet
          ? "remove it; this is already the setting"
          : turnForeignKeys(value),
      }];
    }
    if (statement.failsOnRows === null) return [];
    const isNotNull = /NOT NULL/.test(statement.failsOnRows);
    return [{
      code: isNotNull ? "not-null-without-default" : "fails",
      place: statement,
      reason: `it fails if the table has rows: ${statement.failsOnRows}`,
      fix: isNotNull
        ? "give the column a DEFAULT, or fill it while copying the rows in a table rebuild"
        : "make it work with rows, for example with a table rebuild",
    }];
  });
}

/** New views, triggers and foreign keys that refer to missing objects, and names that are taken. */
export async function referenceFaults(simulated: SimulatedUpgrade): Promise<Fault[]> {
  const { before, after, run, lineages } = simulated;
  const isNew = ({ name, sql }: Named, list: readonly Named[]) =>
    findNamed(list, name)?.sql !== sql;
  const faults: Fault[] = [];
  const add = (what: string, reason: string, sql: string) =>
    faults.push({
      code: "missing-reference",
      severity: "warning",
      place: run.statements.find((statement) => normalize(statement.sql) === normalize(sql)),
      reason: `${what} can't be used: ${reason}`,
      fix: "create what it refers to first, or correct the name",
    });
  for (const view of after.views) {
    if (view.columns.length > 0 || !isNew(view, before.views)) continue;
    const reason = await missing(simulated, `SELECT 1 FROM main.${quoteName(view.name)}`);
    if (reason !== null) add(`view "${view.name}"`, reason, view.sql);
  }
  for (const trigger of after.triggers) {
    if (!isNew(trigger, before.triggers)) continue;
    const table = findNamed(after.tables, trigger.table);
    const columns = table?.columns.filter(({ generated }) => generated === null)
      .map(({ name }) => quoteName(name)) ?? [];
    if (table === undefined || columns.length === 0) continue;
    const name = `main.${quoteName(table.name)}`;
    const uses = [
      `INSERT INTO ${name} (${columns[0]}) VALUES (NULL)`,
      `UPDATE ${name} SET ${columns.map((one) => `${one} = NULL`).join(", ")}`,
      `DELETE FROM ${name}`,
    ];
    for (const use of uses) {
      const reason = await missing(simulated, `EXPLAIN QUERY PLAN ${use}`);
      if (reason === null) continue;
      add(`trigger "${trigger.name}"`, reason, trigger.sql);
      break;
    }
  }
  for (const table of after.tables) {
    const former = findNamed(before.tables, table.name);
    for (const key of table.foreignKeys) {
      const isThere = findNamed(after.tables, key.table) !== undefined;
      const isOld = former?.foreignKeys.some((one) => sameName(one.table, key.table));
      // If it follows a table that is renamed and dropped, the order of the rebuild is wrong.
      const isGone = lineages.some(({ dropped, name }) =>
        dropped !== null && sameName(name, key.table)
      );
      if (isThere || isOld || isGone) continue;
      add(`the foreign key of table "${table.name}"`, `no such table: ${key.table}`, table.sql);
    }
  }
  const fresh = after.tables.filter((table) =>
    table.foreignKeys.length > 0 && isNew(table, before.tables)
  );
  const message = fresh.length === 0 ? null : await mismatch(simulated.scratch);
  const unfit = fresh.find(({ name }) => message?.startsWith(`foreign key mismatch - "${name}" `));
  if (unfit !== undefined && message !== null) {
    add(`the foreign key of table "${unfit.name}"`, message, unfit.sql);
  }
  return [...faults, ...run.statements.flatMap((statement) => takenName(simulated, statement))];
}

interface Named {
  readonly name: string;
  readonly sql: string;
}

/**
 * What SQLite reports as missing when it compiles a statement. Functions and collations may be the
 * bot's own.
 */
async function missing({ scratch }: SimulatedUpgrade, sql: string): Promise<string | null> {
  if (scratch.missing.length > 0) return null;
  try {
    await scratch.connection.get(sql);
    return null;
  } catch (error) {
    const message = driverMessage(error);
    return /^no such (table|column)/.test(message) ? message : null;
  }
}

const IF_NOT_EXISTS =
  /^\s*CREATE\s+(?:UNIQUE\s+|VIRTUAL\s+)?(TABLE|INDEX|VIEW|TRIGGER)\s+IF\s+NOT\s+EXISTS\s+/i;

/** `IF NOT EXISTS` does nothing if an object of that name exists, whatever its definition. */
function takenName({ before }: SimulatedUpgrade, statement: RecordedStatement): Fault[] {
  const type = IF_NOT_EXISTS.exec(statement.sql)?.[1]?.toLowerCase();
  if (type === undefined || statement.forbidden !== null) return [];
  const written = normalize(statement.sql).replace(/ if not exists /, " ");
  const all = [...before.tables, ...before.indexes, ...before.views, ...before.triggers];
  const taken = all.find(({ sql }) => {
    const own = normalize(sql);
    const [start = ""] = /^create (?:unique |virtual )?\w+ \S+/.exec(own) ?? [];
    return written.startsWith(`${start} `) && written !== own;
  });
  if (taken === undefined) return [];
  return [{
    code: "name-taken",
    severity: "warning",
    place: statement,
    reason: `it does nothing: ${type} "${taken.name}" already exists, created by ` +
      "a different statement",
    fix: "choose another name, or change the existing object",
  }];
}

/**
 * Missing, failing or incomplete downgrades, and upgrades that wrongly claim to be repeatable.
 */
export function reversalFaults(
  { migration, before, scratch }: SimulatedUpgrade,
  { down, restored, again, twice }: Reversal,
): Fault[] {
  const faults: Fault[] = [];
  if (down === null) {
    faults.push({
      code: "no-downgrade",
      severity: "warning",
      reason: "it has no downgrade, so only a backup can revert it",
      fix: 'add a section "-- migrate:down", or downgrade in a module',
    });
  } else if (down.failure !== null) {
    faults.push({
      code: "fails",
      severity: down.failure.isCertain && scratch.missing.length === 0 ? "error" : "warning",
      direction: "downgrade",
      place: down.failure.place,
      reason: `its downgrade fails on a copy of the schema: ${failureReason(down.failure)}`,
      fix: "fix the downgrade",
    });
  }
  if (down !== null) faults.push(...deletedOnTheWayBack(migration, before, down));
  const differences = restored === null || restored === before
    ? []
    : compareSchemas(before, restored);
  if (differences.length > 0) {
    faults.push({
      code: "downgrade-differs",
      direction: "downgrade",
      reason: `its downgrade doesn't restore the previous schema: ${
        differences.map(({ detail }) => detail).join("; ")
      }`,
      fix: "revert in the downgrade everything that the upgrade does",
    });
  } else if (again !== null) {
    faults.push({
      code: "downgrade-differs",
      place: again.place,
      reason: `it doesn't run again after its downgrade: ${failureReason(again)}`,
      fix: "revert in the downgrade everything that the upgrade does, including rows",
    });
  }
  if (twice !== null) {
    faults.push({
      code: "not-idempotent",
      severity: "warning",
      place: twice.place,
      reason: `it uses IF NOT EXISTS or IF EXISTS, but does not run twice: ${failureReason(twice)}`,
      fix: "use it for every object, or for none: each migration is applied once",
    });
  }
  return faults;
}

/**
 * Rows of existing tables that a downgrade deletes without a declaration, which `downgrade`
 * refuses.
 */
function deletedOnTheWayBack(
  { destroys = [] }: SimulatedUpgrade["migration"],
  { tables }: SimulatedUpgrade["before"],
  { statements }: RecordedBody,
): Fault[] {
  return statements.flatMap((statement) =>
    rowChanges(statement.events).flatMap(({ kind, database, table }): Fault[] => {
      if (kind !== "delete" || database !== "main") return [];
      const known = findNamed(tables, table)?.name;
      if (known === undefined || destroys.some((one) => sameName(one, known))) return [];
      return [{
        code: "rows-deleted",
        severity: "warning",
        direction: "downgrade",
        place: statement,
        reason: `its downgrade deletes rows of table "${known}", which \`downgrade\` refuses`,
        fix: `if this is intended, declare it: ${howToDeclare([known])}`,
      }];
    })
  );
}

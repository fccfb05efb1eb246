import { fold, normalize, quoteName } from "../sql/tokens.ts";
import type { Fault } from "./finding.ts";
import type { RecordedStatement } from "./recorder.ts";
import type { SimulatedUpgrade } from "./simulation.ts";

/** New views, triggers and foreign keys that refer to what is not there, and names that are taken. */
export async function referenceFaults(simulated: SimulatedUpgrade): Promise<Fault[]> {
  const { before, after, run, lineages } = simulated;
  const isNew = ({ name, sql }: Named, list: readonly Named[]) =>
    !list.some((one) => fold(one.name) === fold(name) && one.sql === sql);
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
    const table = after.tables.find(({ name }) => fold(name) === fold(trigger.table));
    const column = table?.columns.find(({ generated }) => generated === null);
    if (table === undefined || column === undefined) continue;
    const [name, key] = [quoteName(table.name), quoteName(column.name)];
    const uses = [
      `INSERT INTO main.${name} (${key}) VALUES (NULL)`,
      `UPDATE main.${name} SET ${
        table.columns.filter(({ generated }) => generated === null)
          .map((one) => `${quoteName(one.name)} = NULL`).join(", ")
      }`,
      `DELETE FROM main.${name}`,
    ];
    for (const use of uses) {
      const reason = await missing(simulated, `EXPLAIN ${use}`);
      if (reason === null) continue;
      add(`trigger "${trigger.name}"`, reason, trigger.sql);
      break;
    }
  }
  for (const table of after.tables) {
    const former = before.tables.find(({ name }) => fold(name) === fold(table.name));
    for (const key of table.foreignKeys) {
      const isThere = after.tables.some(({ name }) => fold(name) === fold(key.table));
      const isOld = former?.foreignKeys.some((one) => fold(one.table) === fold(key.table));
      // Where it follows a table that is renamed and dropped, the order of the rebuild is wrong.
      const isGone = lineages.some(({ dropped, name }) =>
        dropped !== null && fold(name) === fold(key.table)
      );
      if (isThere || isOld || isGone) continue;
      add(`the foreign key of table "${table.name}"`, `no such table: ${key.table}`, table.sql);
    }
  }
  return [...faults, ...run.statements.flatMap((statement) => takenName(simulated, statement))];
}

interface Named {
  readonly name: string;
  readonly sql: string;
}

/** What SQLite misses when it compiles a statement; functions and collations may be the bot's own. */
async function missing({ scratch }: SimulatedUpgrade, sql: string): Promise<string | null> {
  if (scratch.missing.length > 0) return null;
  try {
    await scratch.connection.get(sql);
    return null;
  } catch (error) {
    const message = error instanceof Error && error.cause instanceof Error
      ? error.cause.message
      : String(error);
    return /^no such (table|column)/.test(message) ? message : null;
  }
}

const IF_NOT_EXISTS =
  /^\s*CREATE\s+(?:UNIQUE\s+|VIRTUAL\s+)?(TABLE|INDEX|VIEW|TRIGGER)\s+IF\s+NOT\s+EXISTS\s+/i;

/** `IF NOT EXISTS` does nothing where there is an object of that name, whatever it looks like. */
function takenName({ before }: SimulatedUpgrade, statement: RecordedStatement): Fault[] {
  const type = IF_NOT_EXISTS.exec(statement.sql)?.[1]?.toLowerCase();
  if (type === undefined || statement.forbidden !== null) return [];
  const written = normalize(statement.sql).replace(/ if not exists /, " ");
  const all = [...before.tables, ...before.indexes, ...before.views, ...before.triggers];
  const taken = all.find(({ name, sql }) => {
    const own = normalize(sql);
    const [start = ""] = /^create (?:unique |virtual )?\w+ \S+/.exec(own) ?? [];
    return written.startsWith(`${start} `) && written !== own && name !== "";
  });
  if (taken === undefined) return [];
  return [{
    code: "name-taken",
    severity: "warning",
    place: statement,
    reason: `it does nothing: ${type} "${taken.name}" is there already, and it was made by ` +
      "another statement",
    fix: "take another name, or change the one that is there",
  }];
}

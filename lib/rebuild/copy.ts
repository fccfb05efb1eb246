import { quoteName } from "../sql/tokens.ts";
import { fold } from "../sql/tokens.ts";
import { noColumn } from "../schema/rebuild_definition.ts";
import { RebuildFault } from "./fault.ts";
import type { RebuiltTable } from "../schema/rebuild_dependents.ts";

/** What is said about the columns of a copy. */
export interface CopyRequest {
  /** Expressions over the old columns, by new column. */
  readonly values?: Readonly<Record<string, string>>;
  /** Old columns whose content is not kept. */
  readonly drops?: readonly string[];
  /** Number of rows to copy. */
  readonly rows: number;
}

/** The statement that copies all rows from one table into the other, column by column of the same name. */
export function copyStatement(
  from: RebuiltTable,
  to: RebuiltTable,
  { values = {}, drops = [], rows }: CopyRequest,
): string {
  const nameOf = (table: RebuiltTable, column: string): string => {
    const found = table.columns.find(({ name }) => fold(name) === fold(column));
    if (found === undefined) throw noColumn(column, table.columns.map(({ name }) => name));
    return fold(found.name);
  };
  const dropped = new Set(drops.map((column) => nameOf(from, column)));
  const given = new Map(
    Object.entries(values).map(([column, expression]) => [nameOf(to, column), expression]),
  );
  const old = new Map(from.columns.map(({ name }) => [fold(name), name]));
  const copied: [target: string, source: string][] = [];
  for (const { name, isGenerated, isRequired } of to.columns) {
    const key = fold(name);
    const expression = given.get(key);
    const same = dropped.has(key) ? undefined : old.get(key);
    if (isGenerated) {
      if (expression === undefined) continue;
      throw new RebuildFault(
        `its column "${name}" is generated, and can't be given values`,
        `take it out of "values"`,
      );
    }
    // The line break ends a comment in the expression.
    if (expression !== undefined) copied.push([quoteName(name), `(${expression}\n)`]);
    else if (same !== undefined) copied.push([quoteName(name), quoteName(same)]);
    else if (name === to.alias && from.rowid !== null) copied.push([quoteName(name), from.rowid]);
    else if (isRequired && rows > 0) {
      throw new RebuildFault(
        `its new column "${name}" may not be NULL, and nothing says what its ${
          rows === 1 ? "row has" : `${rows} rows have`
        } there`,
        `give it a DEFAULT, or name it in "values" with an expression over the old columns`,
      );
    }
  }
  refuseSilentLoss(from, to, { dropped, given });
  if (to.alias === null && to.rowid !== null && from.rowid !== null) {
    copied.unshift([to.rowid, from.rowid]);
  }
  if (copied.length === 0) {
    const defaults = "nothing of its rows would be kept";
    throw new RebuildFault(defaults, "keep a column, or drop the table and make it anew");
  }
  const [targets, sources] = [0, 1].map((side) => copied.map((pair) => pair[side]).join(", "));
  // OR ABORT: an ON CONFLICT of the table's own would leave rows out without a word.
  return `INSERT OR ABORT INTO main.${
    quoteName(to.name)
  } (${targets})\nSELECT ${sources}\nFROM main.${quoteName(from.name)}`;
}

/** Refuses to leave out a column that nobody has named. */
function refuseSilentLoss(
  from: RebuiltTable,
  to: RebuiltTable,
  { dropped, given }: {
    readonly dropped: ReadonlySet<string>;
    readonly given: ReadonlyMap<string, string>;
  },
): void {
  const kept = new Set([...given.keys(), ...to.columns.map(({ name }) => fold(name))]);
  const lost = from.columns.map(({ name }) => name)
    .filter((name) => !kept.has(fold(name)) && !dropped.has(fold(name)));
  if (lost.length === 0) return;
  const names = lost.map((name) => JSON.stringify(name)).join(", ");
  throw new RebuildFault(
    `the content of ${lost.length === 1 ? "column" : "columns"} ${names} would be lost`,
    `name what may go in "drops": [${names}]; a column that gets a new name goes in "renames"`,
  );
}

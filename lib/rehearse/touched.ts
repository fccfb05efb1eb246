import { MARKER_TABLE } from "../state/marker.ts";
import type { Schema } from "../schema/model.ts";
import { fold } from "../sql/tokens.ts";
import type { Observed } from "./watched.ts";

// Actions of SQLite's authorizer; fixed by SQLite's interface.
const DELETE = 9;
const DROP_TABLE = 11;
const INSERT = 18;
const UPDATE = 23;
const ALTER_TABLE = 26;

/** The columns of which a migration may have changed values, by folded table and column. */
export type Touched = ReadonlyMap<string, ReadonlySet<string>>;

/**
 * Says which values a migration may have changed, by what SQLite asked its authorizer about: only those
 * have to be read and compared. It is asked about what triggers and foreign keys do as well. Where the
 * columns can't be told, it is all of the table.
 */
export function touchedBy({ deeds, statements }: Observed, before: Schema): Touched {
  const tables = new Map(
    before.tables.filter(({ virtual }) => !virtual).map((table) => [fold(table.name), table]),
  );
  const touched = new Map<string, Set<string>>();
  const touch = (name: string, column?: string): void => {
    const table = tables.get(fold(name));
    if (table === undefined || fold(name) === MARKER_TABLE) return;
    const columns = touched.get(fold(name)) ?? new Set<string>();
    touched.set(fold(name), columns);
    const all = table.columns.map((one) => fold(one.name));
    const isKnown = column !== undefined && all.includes(fold(column));
    for (const one of isKnown ? [fold(column)] : all) columns.add(one);
  };
  const texts = statements.map(({ sql }) => sql);
  // With another name a table has other rows, and its own are elsewhere.
  const renames = texts.some((sql) => /\brename\b/i.test(sql));
  if (texts.some((sql) => /\bwritable_schema\b/i.test(sql))) tables.keys().forEach((n) => touch(n));
  for (const { action, first, second, third } of deeds) {
    if (action === INSERT || action === DELETE || action === DROP_TABLE) touch(first);
    else if (action === UPDATE) touch(first, second);
    else if (action === ALTER_TABLE) {
      // What is passed third is a column that is dropped.
      if (renames) touch(second);
      else if (third !== "") touch(second, third);
    }
  }
  return touched;
}

import { quoteName } from "../sql/tokens.ts";
import type { Connection } from "../database/connection.ts";
import { number, text } from "../database/connection.ts";
import { fold } from "../sql/tokens.ts";
import type { KnownTable, TableFate } from "../trial/tables.ts";
import type { Scratch, TableEntry } from "../trial/scratch.ts";

/** Stands for a table of a real database that is not at hand. */
const ELSEWHERE = "";

/** Where the real rows are. */
export interface RowBookOptions {
  readonly scratch: Scratch;
  /** The real database; null where it is not there. */
  readonly real: Connection | null;
  /** Whether a database that isn't there is one elsewhere, with rows that nobody knows. */
  readonly isElsewhere: boolean;
}

/** Knows how many rows the tables really have, while pending migrations rename and rebuild them. */
export class RowBook {
  readonly #options: RowBookOptions;
  readonly #counts = new Map<string, Promise<number>>();
  /** Real tables whose rows a table of the scratch database has; by its name now, folded. */
  #sources = new Map<string, readonly string[]>();
  /** Names that columns have got: what they hold can't be asked under them. */
  readonly #renamedColumns = new Set<string>();

  constructor(options: RowBookOptions) {
    this.#options = options;
  }

  /** Takes the tables that the scratch database has now for those of the real one. */
  begin(tables: readonly TableEntry[]): void {
    const { real, isElsewhere } = this.#options;
    const source = (name: string) => real === null ? isElsewhere ? [ELSEWHERE] : [] : [name];
    for (const { name, database } of tables) {
      if (database === "main") this.#sources.set(fold(name), source(name));
    }
  }

  /** Takes the tables that nothing is known of for new ones, which have no real rows. */
  add(tables: readonly TableEntry[]): void {
    const { real, isElsewhere } = this.#options;
    const sources = real === null && isElsewhere ? [ELSEWHERE] : [];
    for (const { name, database } of tables) {
      if (database !== "main" || this.#sources.has(fold(name))) continue;
      this.#sources.set(fold(name), sources);
    }
  }

  /** The tables that there are now, with what is known of their rows. */
  tables(tables: readonly TableEntry[]): KnownTable[] {
    return tables.flatMap(({ name, database, root }) =>
      database !== "main" ? [] : [{ name, root, sources: this.#sources.get(fold(name)) ?? [] }]
    );
  }

  /** Takes over what became of the tables in a migration. */
  turn(fates: readonly TableFate[], renamedColumns: readonly string[]): void {
    const { real, isElsewhere } = this.#options;
    this.#sources = new Map();
    for (const fate of fates) {
      if (fate.dropped !== null || fate.database !== "main") continue;
      this.#sources.set(
        fold(fate.name),
        real === null && isElsewhere ? [ELSEWHERE] : sourcesOf(fate, fates),
      );
    }
    for (const name of renamedColumns) this.#renamedColumns.add(fold(name));
  }

  /** Whether a table, by its name now, may have rows. */
  async mayHaveRows(table: string): Promise<boolean> {
    return await this.count({ name: table, sources: this.#sources.get(fold(table)) ?? [] }) !== 0;
  }

  /** Rows of a table, those that migrations put there included; null where nobody knows. */
  async count(table: Pick<KnownTable, "name" | "sources">): Promise<number | null> {
    if (table.sources.includes(ELSEWHERE)) return null;
    const counts = await Promise.all(table.sources.map((name) => this.#countReal(name)));
    const added = await this.#options.scratch.rows(table.name).catch(() => 0);
    return counts.reduce((sum, rows) => sum + rows, added);
  }

  /** Whether a column of a table has values; null where nobody knows. */
  async hasValues(table: KnownTable, column: string): Promise<boolean | null> {
    if (table.sources.includes(ELSEWHERE) || this.#renamedColumns.has(fold(column))) return null;
    const { real, scratch } = this.#options;
    for (const name of table.sources) {
      if (real !== null && await hasValue(real, name, column)) return true;
    }
    return await hasValue(scratch.connection, table.name, column);
  }

  #countReal(table: string): Promise<number> {
    const { real } = this.#options;
    let count = this.#counts.get(table);
    if (count === undefined) {
      count = real === null ? Promise.resolve(0) : countRows(real, table);
      this.#counts.set(table, count);
    }
    return count;
  }
}

/** Real tables whose rows are in a table at the end of a migration. */
function sourcesOf(fate: TableFate, fates: readonly TableFate[]): readonly string[] {
  const from = new Set(fate.sources);
  const seen = new Set([fate]);
  for (const to of seen) {
    for (const one of fates) {
      if (!one.copies.some(({ into }) => into === to)) continue;
      seen.add(one);
      for (const source of one.sources) from.add(source);
    }
  }
  return [...from];
}

async function countRows(connection: Connection, table: string): Promise<number> {
  try {
    const row = await connection.get(`SELECT count(*) AS rows FROM main.${quoteName(table)}`);
    return row === undefined ? 0 : number(row, "rows");
  } catch {
    return 0; // a virtual table of a module that is not there
  }
}

async function hasValue(connection: Connection, table: string, column: string): Promise<boolean> {
  const columns = await connection.all("SELECT name FROM pragma_table_xinfo(?, 'main')", [table]);
  // SQLite would take an unknown name in double quotes for a text.
  if (!columns.some((row) => fold(text(row, "name")) === fold(column))) return false;
  const found = await connection.get(
    `SELECT 1 AS found FROM main.${quoteName(table)} WHERE ${
      quoteName(column)
    } IS NOT NULL LIMIT 1`,
  );
  return found !== undefined;
}

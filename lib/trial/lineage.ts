import { countRowsOf, readColumns } from "../schema/tables.ts";
import type { Connection } from "../database/connection.ts";
import { findNamed, fold, quoteName, sameName } from "../sql/tokens.ts";
import { rowChanges } from "./authorizer.ts";
import type { RecordedStatement } from "./recorder.ts";
import type { Scratch, TableEntry } from "./scratch.ts";

/** What happens to a table during a migration. */
export interface TableLineage {
  /** Its name before the migration; null if the migration creates it. */
  readonly original: string | null;
  /** Its last name. */
  name: string;
  readonly database: "main" | "temp";
  root: number;
  /** Tables of the real database whose rows it contains. */
  readonly sources: readonly string[];
  /** The statement that first renamed it. */
  renamed: RecordedStatement | null;
  /** The statement that dropped it. */
  dropped: RecordedStatement | null;
  /** Tables into which its rows were inserted. */
  readonly copies: Copy[];
}

/** Rows of a table that were inserted into another. */
export interface Copy {
  readonly into: TableLineage;
  readonly statement: RecordedStatement;
  /** Columns that were read, folded. */
  readonly columns: ReadonlySet<string>;
}

/** What is known about a table before a migration. */
interface KnownTable {
  readonly name: string;
  readonly root: number;
  readonly sources: readonly string[];
}

/** The tables of a migration, and which one a name refers to at each statement. */
export interface TracedTables {
  readonly lineages: readonly TableLineage[];
  /** The tables right before each statement. */
  readonly at: ReadonlyMap<RecordedStatement, LiveTables>;
}

/** The tables that exist at one point, by name. */
class LiveTables {
  readonly #lineages: ReadonlyMap<string, TableLineage>;

  constructor(lineages: readonly TableLineage[]) {
    const live = lineages.filter(({ dropped }) => dropped === null);
    this.#lineages = new Map(
      live.map((lineage) => [keyOf(lineage.database, lineage.name), lineage]),
    );
  }

  /** The table that a name refers to. Without a database, a temporary table hides another. */
  named(name: string, database = ""): TableLineage | undefined {
    if (database !== "") return this.#lineages.get(keyOf(database, name));
    return this.#lineages.get(keyOf("temp", name)) ?? this.#lineages.get(keyOf("main", name));
  }

  /** Whether a table exists. */
  has(lineage: TableLineage): boolean {
    return this.#lineages.values().some((one) => one === lineage);
  }
}

function keyOf(database: string, name: string): string {
  return `${database} ${fold(name)}`;
}

/**
 * Follows all tables through the statements of a migration, by their root pages, which renaming
 * keeps.
 */
export function traceTables(
  known: readonly KnownTable[],
  statements: readonly RecordedStatement[],
): TracedTables {
  const lineages: TableLineage[] = known.map((table) => ({
    ...table,
    original: table.name,
    database: "main",
    renamed: null,
    dropped: null,
    copies: [],
  }));
  const at = new Map<RecordedStatement, LiveTables>();
  let named = new LiveTables(lineages);
  for (const statement of statements) {
    at.set(statement, named);
    const before = named;
    if (statement.before !== statement.after) {
      traceSchema(lineages, statement);
      named = new LiveTables(lineages);
    }
    traceRows(statement, before, named);
  }
  return { lineages, at };
}

function traceSchema(lineages: TableLineage[], statement: RecordedStatement): void {
  const left = new Set(lineages.filter(({ dropped }) => dropped === null));
  const fresh: TableEntry[] = [];
  const find = (matches: (lineage: TableLineage) => boolean): TableLineage | undefined => {
    const lineage = left.values().find(matches);
    if (lineage !== undefined) left.delete(lineage);
    return lineage;
  };
  const isRename = statement.events.some(({ action }) => action === "alter-table");
  for (const object of statement.after) {
    const { database, name, root } = object;
    const lineage = find((one) => one.database === database && sameName(one.name, name));
    if (lineage === undefined) fresh.push(object);
    else lineage.root = root;
  }
  for (const object of fresh) {
    const { database, name, root } = object;
    const lineage = isRename
      ? find((one) => one.database === database && one.root === root)
      : undefined;
    if (lineage !== undefined) {
      lineage.name = name;
      lineage.renamed ??= statement;
      continue;
    }
    lineages.push({
      original: null,
      name,
      database,
      root,
      sources: [],
      renamed: null,
      dropped: null,
      copies: [],
    });
  }
  for (const lineage of left) lineage.dropped = statement;
}

function traceRows(
  statement: RecordedStatement,
  before: LiveTables,
  after: LiveTables,
): void {
  const makes = statement.events.find(({ action }) => action === "create-table");
  const inserts = rowChanges(statement.events).find(({ kind }) => kind === "insert");
  const into = makes !== undefined
    ? after.named(makes.first, makes.database)
    : inserts === undefined
    ? undefined
    : after.named(inserts.table, inserts.database);
  if (into === undefined) return;
  const read = new Map<TableLineage, Set<string>>();
  for (const { action, first, second, database } of statement.events) {
    if (action !== "read" || second === "") continue;
    const from = before.named(first, database);
    if (from === undefined || from === into) continue;
    const columns = read.get(from) ?? new Set();
    read.set(from, columns.add(fold(second)));
  }
  for (const [from, columns] of read) from.copies.push({ into, statement, columns });
}

/** The table that has an original table's name at the end; undefined if there is none. */
export function successorOf(
  lineage: TableLineage,
  lineages: readonly TableLineage[],
): TableLineage | undefined {
  const { original } = lineage;
  if (original === null) return undefined;
  return findNamed(lineages.filter((one) => one.dropped === null && isInMain(one)), original);
}

/** Whether rows of one table were copied into another, directly or through others. */
function reaches(from: TableLineage, to: TableLineage): boolean {
  const seen = new Set<TableLineage>([from]);
  for (const lineage of seen) {
    for (const { into } of lineage.copies) seen.add(into);
  }
  return seen.has(to);
}

/** A table that was dropped and recreated with its rows. */
export interface Rebuild {
  readonly old: TableLineage;
  /** Name before and after. */
  readonly name: string;
  readonly made: TableLineage;
  /** The statement that dropped the old one. */
  readonly dropped: RecordedStatement;
}

/** The rebuilds of a migration. */
export function rebuildsOf(lineages: readonly TableLineage[]): Rebuild[] {
  return lineages.flatMap((old) => {
    const { original, dropped } = old;
    if (original === null || dropped === null) return [];
    const made = successorOf(old, lineages);
    if (made === undefined) return [];
    return reaches(old, made) ? [{ old, name: original, made, dropped }] : [];
  });
}

/** Stands for a table of a real database that is not accessible. */
const ELSEWHERE = "";

/** Location of the real rows. */
interface RowCountsOptions {
  readonly scratch: Scratch;
  /** The tables of the scratch database, which are those of the real one. */
  readonly tables: readonly TableEntry[];
  /** The real database; null if it does not exist. */
  readonly real: Connection | null;
  /** Whether a missing database exists elsewhere, with unknown rows. */
  readonly isElsewhere: boolean;
}

/** Tracks how many rows the tables really have while pending migrations rename and rebuild them. */
export class RowCounts {
  readonly #scratch: Scratch;
  readonly #real: Connection | null;
  /** Where the rows of a table come from that is made by a migration. */
  readonly #sourcesOfNew: readonly string[];
  readonly #counts = new Map<string, Promise<number>>();
  /** Real tables whose rows a scratch table contains, by its current name, folded. */
  #sources: Map<string, readonly string[]>;
  /** New names of columns, whose values can't be queried under them. */
  readonly #renamedColumns = new Set<string>();

  constructor({ scratch, tables, real, isElsewhere }: RowCountsOptions) {
    this.#scratch = scratch;
    this.#real = real;
    this.#sourcesOfNew = real === null && isElsewhere ? [ELSEWHERE] : [];
    this.#sources = new Map(
      tables.filter(isInMain).map(({ name }) => [fold(name), [name]]),
    );
  }

  /** Treats the unknown tables as new ones, without real rows. */
  add(tables: readonly TableEntry[]): void {
    for (const { name } of tables.filter(isInMain)) {
      if (!this.#sources.has(fold(name))) this.#sources.set(fold(name), this.#sourcesOfNew);
    }
  }

  /** The current tables, with what is known about their rows. */
  tables(tables: readonly TableEntry[]): KnownTable[] {
    return tables.filter(isInMain)
      .map(({ name, root }) => ({ name, root, sources: this.#sources.get(fold(name)) ?? [] }));
  }

  /** Records what happened to the tables in a migration. */
  follow(lineages: readonly TableLineage[], renamedColumns: readonly string[]): void {
    const left = lineages.filter((one) => one.dropped === null && isInMain(one));
    const sources = (one: TableLineage) =>
      this.#sourcesOfNew.length > 0 ? this.#sourcesOfNew : sourcesOf(one, lineages);
    this.#sources = new Map(left.map((one) => [fold(one.name), sources(one)]));
    for (const name of renamedColumns) this.#renamedColumns.add(fold(name));
  }

  /** Whether a table, by its current name, may have rows. */
  async mayHaveRows(table: string): Promise<boolean> {
    const sources = this.#sources.get(fold(table)) ?? [];
    return await this.count({ original: table, name: table, sources }) !== 0;
  }

  /** Rows of a table, including those that migrations inserted; null if unknown. */
  async count({ original, name, sources }: RowsOfTable): Promise<number | null> {
    if (sources.includes(ELSEWHERE)) return null;
    const counts = await Promise.all(sources.map((source) => this.#countReal(source)));
    const added = await this.#scratch.rows(original ?? name).catch(() => 0);
    return counts.reduce((sum, rows) => sum + rows, added);
  }

  /**
   * The highest AUTOINCREMENT id, if no row has it any more; null if a row has it, or if it is
   * unknown.
   */
  async unusedMark(sources: readonly string[]): Promise<number | null> {
    const [table] = sources;
    if (this.#real === null || table === undefined) return null;
    const row = await this.#real.get(
      `SELECT seq AS mark, coalesce((SELECT max(rowid) FROM main.${quoteName(table)}), 0) AS highest
      FROM main.sqlite_sequence
      WHERE name = ? COLLATE NOCASE`,
      [table],
    ).catch(() => undefined); // no table has used AUTOINCREMENT
    if (row === undefined) return null;
    const { mark, highest } = row;
    return Number(mark) > Number(highest) ? Number(mark) : null;
  }

  /** Whether a column of a table has values; null if unknown. */
  async hasValues(
    { original, name, sources }: RowsOfTable,
    column: string,
  ): Promise<boolean | null> {
    if (sources.includes(ELSEWHERE) || this.#renamedColumns.has(fold(column))) return null;
    for (const source of sources) {
      if (this.#real !== null && await hasValue(this.#real, source, column)) return true;
    }
    return await hasValue(this.#scratch.connection, original ?? name, column);
  }

  #countReal(table: string): Promise<number> {
    let count = this.#counts.get(table);
    if (count === undefined) {
      // A virtual table of a missing module can't be counted.
      count = this.#real === null
        ? Promise.resolve(0)
        : countRowsOf(this.#real, table).catch(() => 0);
      this.#counts.set(table, count);
    }
    return count;
  }
}

/** What is needed to find the rows of a table. */
type RowsOfTable = Pick<TableLineage, "original" | "name" | "sources">;

function isInMain({ database }: Pick<TableEntry, "database">): boolean {
  return database === "main";
}

/** Real tables whose rows are in a table at the end of a migration. */
function sourcesOf(lineage: TableLineage, lineages: readonly TableLineage[]): readonly string[] {
  const from = new Set(lineage.sources);
  const seen = new Set([lineage]);
  for (const to of seen) {
    for (const one of lineages) {
      if (!one.copies.some(({ into }) => into === to)) continue;
      seen.add(one);
      for (const source of one.sources) from.add(source);
    }
  }
  return [...from];
}

async function hasValue(connection: Connection, table: string, column: string): Promise<boolean> {
  const columns = await readColumns(connection, table);
  // SQLite would treat an unknown name in double quotes as a string.
  if (findNamed(columns, column) === undefined) return false;
  const found = await connection.get(
    `SELECT 1 AS found FROM main.${quoteName(table)} WHERE ${
      quoteName(column)
    } IS NOT NULL LIMIT 1`,
  );
  return found !== undefined;
}

import { CatalystError } from "../base/errors.ts";
import {
  type Connection,
  number,
  type ScriptStatement,
  type SqlValue,
  text,
} from "../database/connection.ts";
import { firstLine, forbidden } from "../migration/body.ts";
import type { Migration, MigrationBody, MigrationTransaction } from "../migration/migration.ts";
import type { Schema } from "../schema/model.ts";
import { skipTrivia } from "../sql/statements.ts";
import { fold, quoteName } from "../sql/tokens.ts";
import type { Fault, Place } from "./finding.ts";
import {
  changesSchema,
  changesTables,
  type Deed,
  failureOnRows,
  rowChanges,
  type Scratch,
  type TableEntry,
  type Watch,
} from "./scratch.ts";

/** One statement that a migration ran, and what SQLite said and did. */
export interface Step extends Place {
  readonly deeds: readonly Deed[];
  /** Tables before it; the same list as `after` where it changed none. */
  readonly before: readonly TableEntry[];
  readonly after: readonly TableEntry[];
  /** Table whose columns it dropped or renamed; null where it did neither. */
  readonly altered: AlteredColumns | null;
  /** Number of rows that it inserted, updated or deleted here. */
  readonly changes: number;
  /** Why it was not run: no migration may; null where it was. */
  readonly forbidden: string | null;
  /** A pragma that does nothing where it stands, and was left out; null where it is none. */
  readonly ineffective: { readonly pragma: string; readonly value: string } | null;
  /** What SQLite says to it where the table has rows; null where it is content. */
  readonly failsOnRows: string | null;
}

/** A table, and in which database it is. */
interface NamedTable {
  readonly table: string;
  /** `main` or `temp`. */
  readonly database: string;
}

/** Columns that an ALTER TABLE changed. */
export interface AlteredColumns extends NamedTable {
  readonly dropped: readonly string[];
  /** New names. */
  readonly renamed: readonly string[];
}

/** Why a body stopped in the middle. */
export interface Failure {
  readonly message: string;
  /** Whether it fails with any rows: not where a scratch without the real ones may be the reason. */
  readonly isCertain: boolean;
  /** Where; absent where it isn't about one statement. */
  readonly place?: Place | undefined;
}

/** What a body did. */
export interface BodyRun {
  /** The statements whose effects remain: those rolled back to a savepoint are left out. */
  readonly steps: readonly Step[];
  /** Null where it came to its end. */
  readonly failure: Failure | null;
  /** The tables after it, where they were followed. */
  readonly tables: readonly TableEntry[];
  /** Whether it changed the schema. */
  readonly changes: boolean;
}

/** Where and how a body is run. */
export interface RehearsalOptions {
  readonly scratch: Scratch;
  readonly watch: Watch;
  readonly migration: Migration;
  /** The tables before it, where they are to be followed; else the steps have none. */
  readonly tables?: readonly TableEntry[];
  /** Whether a table may have rows in reality; those of which ALTER TABLE is tried with a row. */
  readonly mayHaveRows: (table: string) => Promise<boolean>;
}

/** Milliseconds after which a function counts as one that never ends. */
const PATIENCE = 10_000;

/** Pragmas that do nothing, or fail, inside a transaction, by SQLite's documentation. */
const INEFFECTIVE = new Set(
  "auto_vacuum encoding foreign_keys journal_mode page_size synchronous temp_store".split(" "),
);

/** Runs a migration's body on a scratch database, one statement after the other. */
export async function rehearseBody(
  body: MigrationBody,
  options: RehearsalOptions,
): Promise<BodyRun> {
  return await new Rehearsal(options).run(body);
}

class Rehearsal {
  readonly #options: RehearsalOptions;
  readonly #savepoints: { readonly name: string; readonly at: number }[] = [];
  #steps: Step[] = [];
  #tables: readonly TableEntry[];
  #changes = false;
  /** Whether a failure at this point has nothing to do with rows. */
  #isCertain = true;
  /** A function may run statements without waiting for those before: here one waits for the other. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(options: RehearsalOptions) {
    this.#options = options;
    this.#tables = options.tables ?? [];
  }

  get #follows(): boolean {
    return this.#options.tables !== undefined;
  }

  async run(body: MigrationBody): Promise<BodyRun> {
    const { connection } = this.#options.scratch;
    const wasInTransaction = connection.inTransaction;
    let failure: Failure | null = null;
    try {
      if (typeof body === "string") await this.#script(body, true);
      else {
        await settled(body(this.#transaction()));
        await this.#queue;
      }
      if (connection.inTransaction !== wasInTransaction) {
        const message = "it leaves a transaction open, or ends one that it didn't begin";
        failure = { message, isCertain: true };
        if (connection.inTransaction) await connection.exec("ROLLBACK");
      }
    } catch (error) {
      const isScript = typeof body === "string";
      failure = { ...failureOf(error, isScript), isCertain: isScript && this.#isCertain };
      // Some pragmas are refused before they could be left out.
      if (failure.place !== undefined) this.#leftOut(failure.place, this.#options.watch.stop());
    } finally {
      this.#options.watch.stop();
    }
    return { steps: this.#steps, failure, tables: this.#tables, changes: this.#changes };
  }

  async #script(sql: string, knowsLines: boolean): Promise<void> {
    const { scratch, watch } = this.#options;
    watch.listen();
    await scratch.connection.script(sql, {
      around: async (statement) => {
        await this.#step(statement, knowsLines);
        watch.listen();
      },
    });
  }

  async #step({ sql, line, run }: ScriptStatement, knowsLines: boolean): Promise<void> {
    const { scratch, watch, mayHaveRows } = this.#options;
    const prepared = watch.stop();
    const place = { sql, line: knowsLines ? line : null };
    if (this.#leftOut(place, prepared)) return;
    const failsOnRows = this.#follows
      ? await failureOnRows(sql, prepared, { scratch, mayHaveRows })
      : null;
    const altered = this.#follows ? tableAltered(prepared) : null;
    const columns = altered === null ? [] : await scratch.columns(altered.table, altered.database);
    watch.resume();
    // It was prepared: what it names is there, and the rows that it needs may not be.
    this.#isCertain = changesSchema(prepared);
    run();
    this.#isCertain = true;
    const deeds = watch.stop();
    await this.#keep({
      ...place,
      deeds,
      failsOnRows,
      altered: altered === null ? null : compareColumns(
        altered,
        columns,
        await scratch.columns(altered.table, altered.database),
      ),
    });
  }

  /** A migration's function reads the results of its statements itself. */
  async #call<T>(sql: string, run: () => Promise<T>): Promise<T | null> {
    const { watch } = this.#options;
    const place = { sql, line: null };
    if (this.#leftOut(place, [])) return null;
    watch.listen();
    const result = await run();
    await this.#keep({ ...place, deeds: watch.stop(), failsOnRows: null, altered: null });
    return result;
  }

  #transaction(): MigrationTransaction {
    const { scratch: { connection }, migration } = this.#options;
    const queued = <T>(work: () => Promise<T>): Promise<T> => {
      const result = this.#queue.then(work);
      this.#queue = result.catch(() => {});
      return result;
    };
    return {
      database: migration.database,
      exec: (sql) => queued(() => this.#script(sql, false)),
      run: async (sql: string, parameters?: readonly SqlValue[]) =>
        await queued(() => this.#call(sql, () => connection.run(sql, parameters))) ??
          { changes: 0 },
      all: async (sql: string, parameters?: readonly SqlValue[]) =>
        await queued(() => this.#call(sql, () => connection.all(sql, parameters))) ?? [],
    };
  }

  /** Keeps a statement that isn't run: one that is forbidden, or that would do nothing. */
  #leftOut(place: Place, deeds: readonly Deed[]): boolean {
    const { migration } = this.#options;
    const isInTransaction = migration.transaction !== false;
    const reason = forbidden(place.sql, { transaction: isInTransaction });
    const pragma = deeds.find(({ action, second }) => action === "pragma" && second !== "");
    const name = fold(pragma?.first ?? "");
    // Foreign keys stay off here in any case.
    const isIdle = pragma !== undefined &&
      (isInTransaction ? INEFFECTIVE.has(name) : name === "foreign_keys");
    if (reason === null && !isIdle && !isVacuum(place.sql)) return false;
    this.#steps.push({
      ...place,
      deeds,
      before: this.#tables,
      after: this.#tables,
      altered: null,
      changes: 0,
      forbidden: reason,
      ineffective: isIdle && isInTransaction ? { pragma: name, value: pragma.second } : null,
      failsOnRows: null,
    });
    return true;
  }

  async #keep(step: Place & Pick<Step, "deeds" | "altered" | "failsOnRows">): Promise<void> {
    const { scratch } = this.#options;
    const { deeds } = step;
    const goesBack = this.#followSavepoints(deeds);
    const before = this.#tables;
    this.#changes ||= changesSchema(deeds);
    if (this.#follows && (goesBack || changesTables(deeds))) {
      this.#tables = await scratch.tables();
    }
    const inserts = this.#follows && deeds.some(({ action }) => action === "insert");
    this.#steps.push({
      ...step,
      before,
      after: this.#tables,
      changes: inserts ? await scratch.changes() : 0,
      forbidden: null,
      ineffective: null,
    });
  }

  /** Forgets the statements that a ROLLBACK TO took back; whether there was one. */
  #followSavepoints(deeds: readonly Deed[]): boolean {
    let goesBack = false;
    for (const { action, first, second } of deeds) {
      if (action !== "savepoint") continue;
      if (first === "BEGIN") {
        this.#savepoints.push({ name: fold(second), at: this.#steps.length });
        continue;
      }
      const index = this.#savepoints.findLastIndex(({ name }) => name === fold(second));
      if (index === -1) continue;
      if (first === "ROLLBACK") {
        this.#steps = this.#steps.slice(0, this.#savepoints[index]?.at);
        goesBack = true;
      }
      this.#savepoints.length = first === "ROLLBACK" ? index + 1 : index;
    }
    return goesBack;
  }
}

function isVacuum(sql: string): boolean {
  return /^VACUUM\b/i.test(sql.slice(skipTrivia(sql, 0)));
}

function tableAltered(deeds: readonly Deed[]): NamedTable | null {
  const deed = deeds.find(({ action }) => action === "alter-table");
  return deed === undefined ? null : { table: deed.second, database: deed.first };
}

function compareColumns(
  table: NamedTable,
  before: readonly string[],
  after: readonly string[],
): AlteredColumns | null {
  // Renamed: the table of that name is gone, its columns are not.
  if (after.length === 0) return null;
  const dropped = before.filter((name) => !after.includes(name));
  const renamed = after.filter((name) => !before.includes(name));
  if (dropped.length === 0) return null;
  return before.length === after.length
    ? { ...table, dropped: [], renamed }
    : { ...table, dropped, renamed: [] };
}

function failureOf(error: unknown, isScript: boolean): Omit<Failure, "isCertain"> {
  const cause = error instanceof CatalystError && error.cause instanceof Error
    ? error.cause
    : error;
  const message = cause instanceof Error ? cause.message : String(cause);
  if (!(error instanceof CatalystError) || error.statement === undefined) return { message };
  const line = isScript ? error.line ?? null : null;
  return { message, place: { sql: error.statement, line } };
}

async function settled(work: void | Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`its function did not end within ${PATIENCE / 1000} s`)),
      PATIENCE,
    );
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A statement for a message, on one line. */
export function quoted(sql: string): string {
  return firstLine(sql);
}

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

/** A migration after its upgrade was run on a scratch database. */
export interface Rehearsed extends Course {
  readonly migration: Migration;
  /** Schema before the upgrade. */
  readonly before: Schema;
  /** Schema after it. */
  readonly after: Schema;
  readonly run: BodyRun;
  readonly rebuilds: readonly Rebuild[];
  readonly book: RowBook;
  /** Rows from which on a table counts as large. */
  readonly largeTable: number;
}

/** Looks at one migration for faults of its kind. */
export type Rule = (rehearsed: Rehearsed) => Fault[] | Promise<Fault[]>;

/** `1,234 rows`; `the rows that it may have` where nobody knows. */
export function describeRows(rows: number | null): string {
  if (rows === null) return "the rows that it may have";
  return `${String(rows).replace(/\B(?=(\d{3})+$)/g, ",")} ${rows === 1 ? "row" : "rows"}`;
}

/** Names in double quotes, with commas. */
export function names(list: readonly string[]): string {
  return list.map((name) => `"${name}"`).join(", ");
}

/** What becomes of a table in the course of a migration. */
export interface TableFate {
  /** Its name before the migration; null where the migration makes it. */
  readonly original: string | null;
  /** Its last name. */
  name: string;
  readonly database: "main" | "temp";
  root: number;
  /** Tables of the real database whose rows it has. */
  readonly sources: readonly string[];
  /** The statement that renamed it first. */
  renamed: Step | null;
  /** The statement that dropped it. */
  dropped: Step | null;
  /** Tables that rows of it were inserted into. */
  readonly copies: Copy[];
}

/** Rows of a table that were inserted into another. */
export interface Copy {
  readonly into: TableFate;
  readonly step: Step;
  /** Columns that were read, folded. */
  readonly columns: ReadonlySet<string>;
}

/** What is known of a table before a migration. */
export interface KnownTable {
  readonly name: string;
  readonly root: number;
  readonly sources: readonly string[];
}

/** The tables of a migration, and which one a name means at each statement. */
export interface Course {
  readonly fates: readonly TableFate[];
  /** The tables right before each statement. */
  readonly at: ReadonlyMap<Step, LiveTables>;
}

/** The tables that there are at a moment, by name. */
export class LiveTables {
  readonly #fates: ReadonlyMap<string, TableFate>;

  constructor(fates: readonly TableFate[]) {
    const live = fates.filter(({ dropped }) => dropped === null);
    this.#fates = new Map(live.map((fate) => [keyOf(fate.database, fate.name), fate]));
  }

  /** Which table a name means; where nothing says in which database, a temporary one hides another. */
  named(name: string, database = ""): TableFate | undefined {
    if (database !== "") return this.#fates.get(keyOf(database, name));
    return this.#fates.get(keyOf("temp", name)) ?? this.#fates.get(keyOf("main", name));
  }

  /** Whether a table is there. */
  has(fate: TableFate): boolean {
    return this.#fates.values().some((one) => one === fate);
  }
}

function keyOf(database: string, name: string): string {
  return `${database} ${fold(name)}`;
}

/** Follows all tables through the statements of a migration: by their pages, which a new name keeps. */
export function followTables(known: readonly KnownTable[], steps: readonly Step[]): Course {
  const fates: TableFate[] = known.map((table) => ({
    ...table,
    original: table.name,
    database: "main",
    renamed: null,
    dropped: null,
    copies: [],
  }));
  const at = new Map<Step, LiveTables>();
  let named = new LiveTables(fates);
  for (const step of steps) {
    at.set(step, named);
    const before = named;
    if (step.before !== step.after) {
      followSchema(fates, step);
      named = new LiveTables(fates);
    }
    followRows(step, before, named);
  }
  return { fates, at };
}

function followSchema(fates: TableFate[], step: Step): void {
  const left = new Set(fates.filter(({ dropped }) => dropped === null));
  const fresh: TableEntry[] = [];
  const find = (matches: (fate: TableFate) => boolean): TableFate | undefined => {
    const fate = left.values().find(matches);
    if (fate !== undefined) left.delete(fate);
    return fate;
  };
  const isRename = step.deeds.some(({ action }) => action === "alter-table");
  for (const object of step.after) {
    const { database, name, root } = object;
    const fate = find((one) => one.database === database && fold(one.name) === fold(name));
    if (fate === undefined) fresh.push(object);
    else fate.root = root;
  }
  for (const object of fresh) {
    const { database, name, root } = object;
    const fate = isRename
      ? find((one) => one.database === database && one.root === root)
      : undefined;
    if (fate !== undefined) {
      fate.name = name;
      fate.renamed ??= step;
      continue;
    }
    fates.push({
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
  for (const fate of left) fate.dropped = step;
}

function followRows(
  step: Step,
  before: LiveTables,
  after: LiveTables,
): void {
  const makes = step.deeds.find(({ action }) => action === "create-table");
  const inserts = rowChanges(step.deeds).find(({ kind }) => kind === "insert");
  const into = makes !== undefined
    ? after.named(makes.first, makes.database)
    : inserts === undefined
    ? undefined
    : after.named(inserts.table, inserts.database);
  if (into === undefined) return;
  const read = new Map<TableFate, Set<string>>();
  for (const { action, first, second, database } of step.deeds) {
    if (action !== "read" || second === "") continue;
    const from = before.named(first, database);
    if (from === undefined || from === into) continue;
    const columns = read.get(from) ?? new Set();
    read.set(from, columns.add(fold(second)));
  }
  for (const [from, columns] of read) from.copies.push({ into, step, columns });
}

/** The table that has the name of an original one at the end; undefined where none has. */
export function successorOf(
  fate: TableFate,
  fates: readonly TableFate[],
): TableFate | undefined {
  if (fate.original === null) return undefined;
  const name = fold(fate.original);
  return fates.find((one) =>
    one.dropped === null && one.database === "main" && fold(one.name) === name
  );
}

/** Whether rows of one table have come into another, directly or by way of others. */
export function reaches(from: TableFate, to: TableFate): boolean {
  const seen = new Set<TableFate>([from]);
  for (const fate of seen) {
    for (const { into } of fate.copies) seen.add(into);
  }
  return seen.has(to);
}

/** Tables that were dropped and made anew with their rows. */
export interface Rebuild {
  readonly old: TableFate;
  /** Name before and after. */
  readonly name: string;
  readonly made: TableFate;
  /** The statement that dropped the old one. */
  readonly dropped: Step;
}

/** The rebuilds of a migration. */
export function rebuildsOf(fates: readonly TableFate[]): Rebuild[] {
  return fates.flatMap((old) => {
    const { original, dropped } = old;
    const made = successorOf(old, fates);
    if (original === null || dropped === null || made === undefined) return [];
    return reaches(old, made) ? [{ old, name: original, made, dropped }] : [];
  });
}

/** What came of taking an upgrade back and of running it again. */
export interface Reversal {
  /** The downgrade; null where there is none. */
  readonly down: BodyRun | null;
  /** Schema after the downgrade; null where it failed or there is none. */
  readonly restored: Schema | null;
  /** Why the upgrade does not run after the downgrade; null where it does. */
  readonly again: Failure | null;
  /** Why the upgrade, which claims that it may, does not run twice; null where it does. */
  readonly twice: Failure | null;
}

/** Why a body failed, with the statement. */
export function reasonOf({ message, place }: Failure): string {
  return place === undefined ? message : `${message} (${quoted(place.sql)})`;
}

import { fold } from "../sql/tokens.ts";
import type { Step } from "../lint/rehearsal.ts";
import type { TableEntry } from "./scratch.ts";
import { rowChanges } from "../lint/watch.ts";

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

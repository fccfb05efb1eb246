/**
 * Rebuilding a table, step by step: check, create, copy, drop, rename, restore, compare.
 *
 * @module
 */
import { StatementError } from "../base/errors.ts";
import { didYouMean } from "../base/format.ts";
import { number } from "../database/connection.ts";
import { driverMessage } from "../database/failure.ts";
import type { MigrationTransaction } from "../migration/migration.ts";
import { fold, quoteName } from "../sql/tokens.ts";
import {
  createUnder,
  editDefinition,
  nameIn,
  noColumn,
  RebuildFault,
  type RebuildOptions,
} from "./rebuild_definition.ts";
import {
  compareDependents,
  examineDependents,
  freeName,
  type Made,
  readRebuiltTable,
  readStatistics,
  type RebuiltTable,
  refuseIdleTriggers,
  takeOverMark,
  writeStatistics,
} from "./rebuild_dependents.ts";

/** Options of a copy. */
interface CopyRequest extends Pick<RebuildOptions, "values" | "drops"> {
  /** Number of rows to copy. */
  readonly rows: number;
}

/** The statement that copies all rows from one table into the other, matching columns by name. */
function copyStatement(
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
        `its column "${name}" is generated, so it cannot have values`,
        `remove it from "values"`,
      );
    }
    // The line break ends a comment in the expression.
    if (expression !== undefined) copied.push([quoteName(name), `(${expression}\n)`]);
    else if (same !== undefined) copied.push([quoteName(name), quoteName(same)]);
    else if (name === to.alias && from.rowid !== null) copied.push([quoteName(name), from.rowid]);
    else if (isRequired && rows > 0) {
      throw new RebuildFault(
        `its new column "${name}" is NOT NULL, but has no value for ${
          rows === 1 ? "its row" : `its ${rows} rows`
        } there`,
        `add a DEFAULT, or an expression over the old columns to "values"`,
      );
    }
  }
  refuseSilentLoss(from, to, { dropped, given });
  if (to.alias === null && to.rowid !== null && from.rowid !== null) {
    copied.unshift([to.rowid, from.rowid]);
  }
  if (copied.length === 0) {
    const defaults = "all content of its rows would be lost";
    throw new RebuildFault(defaults, "keep a column, or drop the table and create it again");
  }
  const [targets, sources] = [0, 1].map((side) => copied.map((pair) => pair[side]).join(", "));
  // OR ABORT: an ON CONFLICT clause of the table could silently skip rows.
  return `INSERT OR ABORT INTO main.${
    quoteName(to.name)
  } (${targets})\nSELECT ${sources}\nFROM main.${quoteName(from.name)}`;
}

/** Refuses to omit a column that is not named in `drops`. */
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
    `confirm with "drops": [${names}], or use "renames" for a column with a new name`,
  );
}

/** Rebuilds a table, all-or-nothing; `rebuildTable` loads this module when it is called. */
export async function runRebuild(
  transaction: MigrationTransaction,
  table: string,
  options: RebuildOptions,
): Promise<void> {
  let temporary = table;
  try {
    await requireForeignKeysOff(transaction);
    temporary = await freeName(transaction, table);
    await atOnce(transaction, () => rebuildInside(transaction, { table, temporary, options }));
  } catch (error) {
    throw explain(error, { table, temporary });
  }
}

interface Job {
  readonly table: string;
  /** Name of the new table until the old one is gone. */
  readonly temporary: string;
  readonly options: RebuildOptions;
}

async function rebuildInside(
  transaction: MigrationTransaction,
  { table, temporary, options }: Job,
): Promise<void> {
  const before = await examineDependents(transaction, table);
  const old = await renameColumns(transaction, await readRebuiltTable(transaction, table), options);
  const indexes = withoutDropped(old, options.dropIndexes ?? []);
  const definition = definitionOf(old, options);
  const name = nameIn(definition);
  const statistics = await readStatistics(transaction, old.name);

  await transaction.exec(createUnder(definition, temporary));
  const made = await readRebuiltTable(transaction, temporary);
  refuseIdleTriggers({ ...made, triggers: old.triggers });
  const rows = await countTableRows(transaction, old.name);
  await transaction.exec(copyStatement(old, made, { ...options, rows }));
  const copied = await countTableRows(transaction, temporary);
  if (copied !== rows) {
    throw new RebuildFault(`it would have ${copied} rows instead of ${rows}`, "report this");
  }
  await takeOverMark(transaction, old, made);
  await transaction.exec(`DROP TABLE main.${quoteName(old.name)}`);
  await renameOnly(transaction, temporary, name);
  for (const index of indexes) await makeAgain(transaction, "index", index);
  for (const trigger of old.triggers) await makeAgain(transaction, "trigger", trigger);
  await writeStatistics(transaction, name, statistics);
  compareDependents(before, await examineDependents(transaction, table));
}

async function renameColumns(
  transaction: MigrationTransaction,
  table: RebuiltTable,
  { renames = {} }: RebuildOptions,
): Promise<RebuiltTable> {
  const entries = Object.entries(renames);
  for (const [from, to] of entries) {
    await transaction.exec(
      `ALTER TABLE main.${quoteName(table.name)} RENAME COLUMN ${quoteName(from)} TO ${
        quoteName(to)
      }`,
    );
  }
  return entries.length === 0 ? table : await readRebuiltTable(transaction, table.name);
}

function withoutDropped({ indexes }: RebuiltTable, dropped: readonly string[]): readonly Made[] {
  const names = indexes.map(({ name }) => name);
  for (const wanted of dropped) {
    if (names.some((name) => fold(name) === fold(wanted))) continue;
    throw new RebuildFault(
      `it has no index "${wanted}"`,
      didYouMean(wanted, names) +
        (names.length === 0 ? "it has no indexes" : `its indexes are ${names.join(", ")}`),
    );
  }
  return indexes.filter(({ name }) => !dropped.some((one) => fold(one) === fold(name)));
}

function definitionOf(table: RebuiltTable, options: RebuildOptions): string {
  const { create, changeColumns, addColumns, dropChecks, addChecks } = options;
  if (create === undefined) return editDefinition(table.sql, options);
  const edits = Object.entries({ changeColumns, addColumns, dropChecks, addChecks })
    .flatMap(([edit, value]) => value === undefined ? [] : [edit]);
  if (edits.length > 0) {
    throw new RebuildFault(
      `"create" and "${edits[0]}" exclude each other`,
      "give either a complete definition or changes to the existing one",
    );
  }
  if (fold(nameIn(create)) !== fold(table.name)) {
    throw new RebuildFault(
      `its new definition is for a table "${nameIn(create)}"`,
      `write CREATE TABLE ${table.name}; use ALTER TABLE to rename it`,
    );
  }
  return create;
}

/** Adds the name of the table to an error, in place of the temporary name. */
function explain(
  error: unknown,
  { table, temporary }: Pick<Job, "table" | "temporary">,
): unknown {
  const cannot = `Cannot rebuild table "${table}"`;
  if (error instanceof RebuildFault) {
    return new StatementError(`${cannot}: ${error.message}`, { help: error.help });
  }
  if (!(error instanceof StatementError)) return error;
  return new StatementError(`${cannot}: ${driverMessage(error).replaceAll(temporary, table)}`, {
    cause: error,
    ...(error.statement === undefined ? {} : { statement: error.statement }),
    help: "correct the rows or the definition",
  });
}

/** Requires foreign keys to be off, because dropping a table would delete its rows first and cascade. */
async function requireForeignKeysOff(transaction: MigrationTransaction): Promise<void> {
  const [row] = await transaction.all("PRAGMA foreign_keys");
  if (row === undefined || number(row, "foreign_keys") === 0) return;
  throw new RebuildFault(
    "foreign keys are on, and dropping the old table would empty child tables",
    "set `foreignKeys: false` in the migration",
  );
}

/** Runs work all-or-nothing, so that a migration that catches the error finds the table unchanged. */
async function atOnce(
  transaction: MigrationTransaction,
  work: () => Promise<void>,
): Promise<void> {
  await transaction.exec("SAVEPOINT rebuild_table");
  try {
    await work();
  } catch (error) {
    // After some failures, such as a full disk, SQLite has already rolled back the transaction.
    await transaction.exec("ROLLBACK TO rebuild_table; RELEASE rebuild_table").catch(() => {});
    throw error;
  }
  await transaction.exec("RELEASE rebuild_table");
}

/** Number of rows of a table. */
async function countTableRows(
  transaction: MigrationTransaction,
  table: string,
): Promise<number> {
  const [row] = await transaction.all(`SELECT count(*) AS rows FROM main.${quoteName(table)}`);
  return row === undefined ? 0 : number(row, "rows");
}

/**
 * Renames a table without updating references to it: they refer to the old table, whose name the new
 * one takes. SQLite then does not check views and triggers either, some of which may be broken.
 */
async function renameOnly(
  transaction: MigrationTransaction,
  from: string,
  to: string,
): Promise<void> {
  const [row] = await transaction.all("PRAGMA legacy_alter_table");
  const former = row === undefined ? 0 : number(row, "legacy_alter_table");
  // Uses `run`, which cannot be interrupted: an interruption would leave the pragma on.
  await transaction.run("PRAGMA legacy_alter_table = ON");
  try {
    await transaction.run(`ALTER TABLE main.${quoteName(from)} RENAME TO ${quoteName(to)}`);
  } finally {
    await transaction.run(`PRAGMA legacy_alter_table = ${former}`);
  }
}

/** Creates an index or trigger again with its original statement. */
async function makeAgain(
  transaction: MigrationTransaction,
  type: "index" | "trigger",
  { name, sql }: Made,
): Promise<void> {
  try {
    await transaction.exec(sql);
  } catch (error) {
    if (!(error instanceof StatementError)) throw error;
    throw new RebuildFault(
      `${type} "${name}" cannot be created again (${driverMessage(error)})`,
      type === "index"
        ? `name it in "dropIndexes", and create it again after the rebuild if it is still needed`
        : "drop it before the rebuild and create it again after it, in the same migration",
    );
  }
}

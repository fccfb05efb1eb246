import { driverMessage } from "../database/failure.ts";
import { quoteName } from "../sql/tokens.ts";
import { StatementError } from "../base/errors.ts";
import type { MigrationTransaction } from "../migration/migration.ts";
import type { RebuildOptions } from "./rebuild.ts";
import { fold } from "../sql/tokens.ts";
import { didYouMean } from "../base/suggestion.ts";
import { copyStatement } from "../rebuild/copy.ts";
import { createUnder, editDefinition, nameIn } from "./rebuild_definition.ts";
import { compareDependents, examineDependents, refuseIdleTriggers } from "../rebuild/dependents.ts";
import { RebuildFault } from "../rebuild/fault.ts";
import {
  atOnce,
  countRows,
  makeAgain,
  renameOnly,
  requireForeignKeysOff,
} from "../rebuild/steps.ts";
import {
  freeName,
  type Made,
  readStatistics,
  readTable,
  type RebuiltTable,
  takeOverMark,
  writeStatistics,
} from "./rebuild_dependents.ts";

/** Rebuilds a table, all at once; `rebuildTable` is the door to it, and loads it when it is called. */
export async function rebuild(
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
  const old = await renameColumns(transaction, await readTable(transaction, table), options);
  const indexes = withoutDropped(old, options.dropIndexes ?? []);
  const definition = definitionOf(old, options);
  const name = nameIn(definition);
  const statistics = await readStatistics(transaction, old.name);

  await transaction.exec(createUnder(definition, temporary));
  const made = await readTable(transaction, temporary);
  refuseIdleTriggers({ ...made, triggers: old.triggers });
  const rows = await countRows(transaction, old.name);
  await transaction.exec(copyStatement(old, made, { ...options, rows }));
  const copied = await countRows(transaction, temporary);
  if (copied !== rows) {
    throw new RebuildFault(`it would have ${copied} rows in place of ${rows}`, "report this");
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
  return entries.length === 0 ? table : await readTable(transaction, table.name);
}

function withoutDropped({ indexes }: RebuiltTable, dropped: readonly string[]): readonly Made[] {
  const names = indexes.map(({ name }) => name);
  for (const wanted of dropped) {
    if (names.some((name) => fold(name) === fold(wanted))) continue;
    throw new RebuildFault(
      `it has no index "${wanted}"`,
      didYouMean(wanted, names) +
        (names.length === 0 ? "it has none at all" : `its indexes are ${names.join(", ")}`),
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
      `"create" says already what "${edits[0]}" would change`,
      "give the whole definition, or changes of the one that it has",
    );
  }
  if (fold(nameIn(create)) !== fold(table.name)) {
    throw new RebuildFault(
      `its new definition is of a table "${nameIn(create)}"`,
      `write CREATE TABLE ${table.name}; ALTER TABLE gives it another name`,
    );
  }
  return create;
}

/** Says which table it is, and calls it by its own name. */
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
    help: "mend the rows or the definition",
  });
}

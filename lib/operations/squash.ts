import {
  compareIds,
  defineMigration,
  destroysOption,
  type Migration,
} from "../migration/migration.ts";
import { SquashError } from "../base/errors.ts";
import { compareSchemas } from "../schema/compare.ts";
import type { Schema } from "../schema/model.ts";
import { buildMigratedSchema } from "../schema/migrated_schema.ts";
import { findMigration } from "../state/plan.ts";
import type { Workspace } from "../state/workspace.ts";

/** A migration that combines several. */
export interface SquashedMigration {
  /** Name of its file. */
  readonly fileName: string;
  /** Text of its file. */
  readonly text: string;
  /** The migration that the file defines. */
  readonly migration: Migration;
  /** Paths of the files that are no longer needed once every database has their migrations. */
  readonly replacedFiles: readonly string[];
}

/**
 * Combines the migrations of each database, up to the given one, into one migration, as far as they
 * were read from files. Running both in memory proves that they create the same schema and roll
 * back to the same one.
 *
 * @throws {SquashError} if a migration is not SQL, or the resulting schema would differ.
 * @throws {UnknownMigrationError} if the migration does not exist.
 */
export async function squash(
  workspace: Workspace,
  to: string,
): Promise<readonly SquashedMigration[]> {
  const { migrations, databases } = workspace.registry;
  const last = findMigration(workspace.registry, to);
  const squashed: SquashedMigration[] = [];
  for (const database of databases) {
    const own = migrations.filter((one) =>
      one.database === database && compareIds(one.id, last.id) <= 0
    );
    const parts = own.filter(({ source }) => source !== undefined);
    if (parts.length < 2) continue;
    const made = combine(parts);
    await prove(own, parts, made.migration);
    squashed.push(made);
  }
  if (squashed.length > 0) return squashed;
  throw new SquashError(
    `Cannot squash up to ${last.name}: no database has two migrations from files up to that one`,
    {
      help: "`status --verbose` lists the migrations; the bundled ones can't be squashed",
    },
  );
}

function combine(parts: readonly Migration[]): SquashedMigration {
  const last = parts.at(-1) ?? refuse(parts, "there is nothing to squash");
  const { database } = last;
  const upgrades = parts.map((one) => section(one, textOf(one, one.upgrade)));
  const isReversible = parts.every(({ downgrade }) => downgrade !== undefined);
  const downgrades = isReversible
    ? parts.toReversed().map((one) => section(one, textOf(one, one.downgrade)))
    : [];
  const ids = parts.map(({ id }) => id);
  const foreignKeys = parts.every((one) => one.foreignKeys !== false);
  const destroys = [...new Set(parts.flatMap((one) => one.destroys ?? []))];
  const name = `${last.id}_squash_${database}`;
  const options = [
    ...foreignKeys ? [] : ["foreign-keys:off"],
    ...destroys.length === 0 ? [] : [destroysOption(destroys)],
  ].map((option) => ` ${option}`).join("");
  const text = [
    `-- database: ${database}`,
    `-- replaces: ${ids.join(",")}`,
    `-- migrate:up${options}`,
    ...upgrades,
    ...downgrades.length === 0 ? [] : [`-- migrate:down${options}`, ...downgrades],
  ].join("\n");
  const migration = defineMigration({
    name,
    database,
    replaces: ids,
    upgrade: upgrades.join("\n"),
    ...downgrades.length === 0 ? {} : { downgrade: downgrades.join("\n") },
    foreignKeys,
    destroys,
  });
  return {
    fileName: `${name}.sql`,
    text: `${text}\n`,
    migration,
    replacedFiles: parts.flatMap(({ source }) => source?.path ?? []),
  };
}

/** The text of one part. A statement without a semicolon must not run into the next part. */
function section({ name }: Migration, sql: string): string {
  return `\n-- ${name}\n${sql.trim()}\n;`;
}

function textOf(migration: Migration, body: Migration["downgrade"]): string {
  if (migration.transaction === false) {
    refuse([migration], "it runs without a transaction, unlike the others");
  }
  return typeof body === "string" ? body : refuse([migration], "it is a function, not SQL");
}

async function prove(
  own: readonly Migration[],
  parts: readonly Migration[],
  squashed: Migration,
): Promise<void> {
  const before = own.filter((one) => !parts.includes(one));
  const expected = await schemaOf(own);
  refuseOther(squashed, expected, await schemaOf([...before, squashed]));
  if (squashed.downgrade === undefined) return;
  const back = await buildMigratedSchema([...before, squashed], { rollBack: [squashed] });
  if (!back.known) return refuse([back.migration], String(back.error));
  refuseOther(squashed, await schemaOf(before), back.schema);
}

async function schemaOf(migrations: readonly Migration[]): Promise<Schema> {
  const expected = await buildMigratedSchema(migrations);
  return expected.known ? expected.schema : refuse([expected.migration], String(expected.error));
}

function refuseOther(squashed: Migration, expected: Schema, actual: Schema): void {
  const differences = compareSchemas(expected, actual);
  if (differences.length === 0) return;
  refuse(
    [squashed],
    `the schema would differ: ${differences.map(({ detail }) => detail).join("; ")}`,
  );
}

function refuse(migrations: readonly Migration[], reason: string): never {
  throw new SquashError(
    `Cannot squash ${migrations.map(({ name }) => name).join(", ")}: ${reason}`,
    { help: "nothing was written; squash up to a migration before it with --to ID" },
  );
}

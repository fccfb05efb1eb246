import type { Migration } from "../migration/migration.ts";
import type { Schema } from "../schema/model.ts";
import { fold } from "../sql/tokens.ts";

/** `up` is the first upgrade, `down` the downgrade after it, and `again` the second upgrade. */
export type Pass = "up" | "down" | "again";

/** Runs a migration in one pass and examines the result; `false` if the migration itself fails. */
type RunPass = (migration: Migration, pass: Pass) => Promise<boolean>;

/** What was not tried. */
export interface Untried {
  /** The migration whose first upgrade failed; later migrations and all downgrades were left out. */
  readonly failed: Migration | null;
  /** Migrations that were not rolled back, in order. */
  readonly notRolledBack: readonly Barrier[];
}

/** A migration that was not rolled back. */
interface Barrier {
  readonly migration: Migration;
  /** The first migration after it, or itself, that has no downgrade. */
  readonly irreversible: Migration;
}

/**
 * Upgrades migrations in order, rolls back those that can be rolled back, latest first, and upgrades
 * these again. After a failure, the pass skips the rest of the same database.
 */
export async function upDownUp(
  migrations: readonly Migration[],
  run: RunPass,
): Promise<Untried> {
  for (const migration of migrations) {
    if (!await run(migration, "up")) return { failed: migration, notRolledBack: [] };
  }
  const { reversible, notRolledBack } = splitReversible(migrations);
  await downUp(reversible, run);
  return { failed: null, notRolledBack };
}

/** Rolls back migrations that have been upgraded, latest first, and upgrades these again. */
export async function downUp(migrations: readonly Migration[], run: RunPass): Promise<void> {
  const rolledBack = await runAll(migrations.toReversed(), "down", run);
  await runAll(rolledBack.toReversed(), "again", run);
}

/** The migrations that succeeded. */
async function runAll(
  migrations: readonly Migration[],
  pass: Pass,
  run: RunPass,
): Promise<readonly Migration[]> {
  const stopped = new Set<string>();
  const done: Migration[] = [];
  for (const migration of migrations) {
    if (stopped.has(migration.database)) continue;
    if (await run(migration, pass)) done.push(migration);
    else stopped.add(migration.database);
  }
  return done;
}

/**
 * A migration without a downgrade also prevents a rollback of those before it in the same database.
 */
function splitReversible(
  migrations: readonly Migration[],
): Pick<Untried, "notRolledBack"> & { readonly reversible: readonly Migration[] } {
  const notRolledBack: Barrier[] = [];
  const barriers = new Map<string, Migration>();
  const reversible: Migration[] = [];
  for (const migration of migrations.toReversed()) {
    const { database, downgrade } = migration;
    const irreversible = barriers.get(database) ??
      (downgrade === undefined ? migration : undefined);
    if (irreversible === undefined) reversible.unshift(migration);
    else {
      barriers.set(database, irreversible);
      notRolledBack.unshift({ migration, irreversible });
    }
  }
  return { reversible, notRolledBack };
}

/** Tables that an upgrade created. A downgrade drops them together with their rows. */
export function createdTables(before: Schema, after: Schema): string[] {
  const known = new Set(before.tables.map(({ name }) => fold(name)));
  return after.tables.map(({ name }) => name).filter((name) => !known.has(fold(name)));
}

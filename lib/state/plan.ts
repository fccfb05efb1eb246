import {
  ChangedMigrationError,
  DowngradeBlockedError,
  OutOfOrderError,
  UnknownMarkerError,
  UnknownMigrationError,
} from "../base/errors.ts";
import { compareIds, type Migration, type Registry } from "../migration/migration.ts";
import type { MigrationStatus } from "./assess.ts";
import { didYouMean } from "../base/format.ts";

/** Which migrations to apply. Default: all pending ones. */
export interface UpgradeRequest {
  /** Only this migration, by id or name. */
  readonly migration?: string;
  /** Up to this migration and no further, by id or name. */
  readonly to?: string;
  /** Whether to apply a migration that sorts before an already applied one. Default `false`. */
  readonly outOfOrder?: boolean;
}

/** Which migrations to roll back. Default: all applied ones. */
export interface DowngradeRequest {
  /** Only this migration, by id or name. */
  readonly migration?: string;
  /** Down to this migration, which stays applied, by id or name. */
  readonly to?: string;
  /** Only this many, newest first. */
  readonly steps?: number;
}

/**
 * The migrations to apply, in order.
 *
 * @throws {UnknownMigrationError} if the request names an unknown migration.
 * @throws {UnknownMarkerError | ChangedMigrationError} if the databases contain migrations that the
 * registry does not have or that have changed.
 * @throws {OutOfOrderError} if a migration would run out of order.
 */
export function migrationsToApply(
  registry: Registry,
  statuses: readonly MigrationStatus[],
  request: UpgradeRequest,
): Migration[] {
  refuseStrangers(registry, statuses, request);
  const { only, last } = limitsOf(registry, request);
  refuseChanged(statuses);
  const states = new Map(statuses.map(({ id, state }) => [id, state]));
  const chosen = registry.migrations.filter(({ id }) =>
    states.get(id) !== "applied" && (only === null || id === only.id) &&
    (last === null || compareIds(id, last.id) <= 0)
  );
  refuseOutOfOrder(registry, states, { chosen, mayBeLate: request.outOfOrder ?? false });
  return chosen;
}

/**
 * The migrations to roll back, newest first.
 *
 * @throws {UnknownMigrationError | UnknownMarkerError} as for {@link migrationsToApply}.
 * @throws {DowngradeBlockedError} if a later migration of the same database stays applied, or
 * a migration has no downgrade.
 */
export function migrationsToRollBack(
  registry: Registry,
  statuses: readonly MigrationStatus[],
  request: DowngradeRequest,
): Migration[] {
  refuseStrangers(registry, statuses, request);
  const { only, last } = limitsOf(registry, request);
  const inDatabase = new Set(
    statuses.filter(({ state }) => state === "applied" || state === "changed").map(({ id }) => id),
  );
  const applied = registry.migrations.filter(({ id }) => inDatabase.has(id)).toReversed();
  const chosen = applied
    .filter(({ id }) =>
      (only === null || id === only.id) && (last === null || compareIds(id, last.id) > 0)
    )
    .slice(0, request.steps);
  chosen.forEach((migration) => {
    const later = applied.find((one) =>
      one.database === migration.database && compareIds(one.id, migration.id) > 0 &&
      !chosen.includes(one)
    );
    const { name, database } = migration;
    if (later !== undefined) {
      throw new DowngradeBlockedError(
        `Cannot roll back ${name}: ${later.name}, a later migration of ${database}, is applied`,
        {
          migration: name,
          database,
          help: `roll ${later.id} back first: \`downgrade --migration ${later.id}\``,
        },
      );
    }
    if (migration.downgrade === undefined) {
      throw new DowngradeBlockedError(`Cannot roll back ${name}: it has no downgrade`, {
        migration: name,
        database,
        help: "restore a backup from before it, or undo its changes with a new migration",
      });
    }
  });
  return chosen;
}

/** The migrations that a request names. */
function limitsOf(
  registry: Registry,
  { migration, to }: Pick<UpgradeRequest, "migration" | "to">,
): { readonly only: Migration | null; readonly last: Migration | null } {
  return {
    only: migration === undefined ? null : findMigration(registry, migration),
    last: to === undefined ? null : findMigration(registry, to),
  };
}

/**
 * Finds a migration by its name, or by its id with or without leading zeros.
 *
 * @throws {UnknownMigrationError} if it is unknown; the help suggests the closest one.
 */
export function findMigration(registry: Registry, wanted: string): Migration {
  const found = registry.migrations.find((one) => isCalled(one, wanted));
  if (found !== undefined) return found;
  // Do not suggest a migration with another number, which the user could roll back by mistake.
  const number = /^\d+/.exec(wanted)?.[0];
  const names = registry.migrations
    .filter(({ id }) => number === undefined || compareIds(id, number) === 0)
    .map(({ name }) => name);
  throw new UnknownMigrationError(
    `Cannot find migration "${wanted}": it is not in the registry`,
    {
      help: `${didYouMean(wanted, names)}\`status --verbose\` lists the migrations`,
    },
  );
}

function isCalled({ id, name }: Pick<Migration, "id" | "name">, wanted: string): boolean {
  return name === wanted || (/^\d+$/.test(wanted) && compareIds(id, wanted) === 0);
}

/** The error names the requested migration, otherwise the one to roll back first. */
function refuseStrangers(
  registry: Registry,
  statuses: readonly MigrationStatus[],
  { migration: wanted }: Pick<UpgradeRequest, "migration">,
): void {
  const strangers = statuses.filter(({ state }) => state === "missing");
  const stranger = strangers.find((one) => wanted !== undefined && isCalled(one, wanted)) ??
    strangers.at(-1);
  if (stranger === undefined) return;
  const { id, name, database } = stranger;
  const home = registry.byId.get(id);
  const isSwapped = home?.name === name;
  const reason = isSwapped
    ? `which belongs to ${home.database}`
    : "which this version does not know";
  throw new UnknownMarkerError(
    `Cannot plan for ${database}: it contains migration ${name}, ${reason}`,
    {
      migration: name,
      database,
      help: isSwapped
        ? "its file was swapped with another one: restore the right file"
        : "a newer catalyst-migrate or another set of migrations changed this database: use that " +
          "one, or restore the migration's file",
    },
  );
}

function refuseChanged(statuses: readonly MigrationStatus[]): void {
  const changed = statuses.find(({ state }) => state === "changed");
  if (changed === undefined) return;
  const { id, name, database } = changed;
  throw new ChangedMigrationError(
    `Cannot upgrade ${database}: ${name} has changed since it was applied, in its name or its text`,
    {
      migration: name,
      database,
      help:
        "restore the old name and text, and make the change in a new migration; if the change is " +
        `intended, accept it with \`repair --accept-changed ${id}\``,
    },
  );
}

function refuseOutOfOrder(
  registry: Registry,
  states: ReadonlyMap<string, MigrationStatus["state"]>,
  { chosen, mayBeLate }: { readonly chosen: readonly Migration[]; readonly mayBeLate: boolean },
): void {
  const isChosen = new Set(chosen);
  const earliestSkipped = new Map<string, Migration>();
  const latestApplied = new Map<string, Migration>();
  for (const migration of registry.migrations) {
    if (states.get(migration.id) === "applied") latestApplied.set(migration.database, migration);
    else if (!isChosen.has(migration) && !earliestSkipped.has(migration.database)) {
      earliestSkipped.set(migration.database, migration);
    }
  }
  for (const migration of chosen) {
    const { name, database } = migration;
    const skipped = earliestSkipped.get(database);
    if (skipped !== undefined && compareIds(skipped.id, migration.id) < 0) {
      throw new OutOfOrderError(`Cannot apply ${name}: ${skipped.name} must be applied first`, {
        migration: name,
        database,
        help: `apply both with \`upgrade --to ${migration.id}\``,
      });
    }
    const later = latestApplied.get(database);
    if (!mayBeLate && later !== undefined && compareIds(later.id, migration.id) > 0) {
      throw new OutOfOrderError(
        `Cannot apply ${name}: ${later.name}, which comes after it, is already applied to ${database}`,
        {
          migration: name,
          database,
          help: `give it a number after ${later.id}, or apply it now with --out-of-order`,
        },
      );
    }
  }
}

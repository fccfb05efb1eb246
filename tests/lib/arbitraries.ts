import fc from "fast-check";
import type { HistoryRow } from "../../lib/state/ledger.ts";
import type { Marker } from "../../lib/state/marker.ts";
import {
  createRegistry,
  defineMigration,
  type Migration,
  type Registry,
} from "../../lib/migration/migration.ts";
import type {
  DatabaseState,
  FoundState,
  MigrationState,
  MigrationStatus,
} from "../../lib/state/assess.ts";

/** Migrations in any order, and the databases that they belong to. */
export interface Definitions {
  readonly migrations: readonly Migration[];
  readonly databases: readonly string[];
}

const DATABASES = ["a", "b", "c"] as const;

/** Migrations of three databases, with numbers of any length. */
export const definitions: fc.Arbitrary<Definitions> = fc.uniqueArray(
  fc.record({
    number: fc.oneof(fc.bigInt({ min: 0n, max: 12n }), fc.bigInt({ min: 0n, max: 10n ** 18n })),
    zeros: fc.nat(3),
    database: fc.constantFrom(...DATABASES),
    isReversible: fc.boolean(),
  }),
  { selector: ({ number }) => number, maxLength: 12 },
).map((all) => ({
  databases: DATABASES,
  migrations: all.map(({ number, zeros, database, isReversible }) =>
    defineMigration({
      name: `${"0".repeat(zeros)}${number}_m`,
      database,
      upgrade: `CREATE TABLE t${number} (a)`,
      ...(isReversible ? { downgrade: `DROP TABLE t${number}` } : {}),
    })
  ),
}));

/** A registry and a state of each of its migrations. */
export interface Situation {
  readonly registry: Registry;
  readonly statuses: readonly MigrationStatus[];
}

/** The status of a migration in a state. */
export function statusOf(migration: Migration, state: MigrationState): MigrationStatus {
  const { id, name, database } = migration;
  return { id, name, database, state, appliedAt: null, durationSeconds: null };
}

const KNOWN_STATES = ["applied", "pending", "failed", "rolled_back"] as const;

/** Any registry with any state of each migration, in order or not. */
export const situations: fc.Arbitrary<Situation> = definitions.chain(
  ({ migrations, databases }) => {
    const registry = createRegistry(migrations, databases);
    return fc.tuple(...registry.migrations.map(() => fc.constantFrom(...KNOWN_STATES)))
      .map((states) => ({
        registry,
        statuses: registry.migrations.map((one, index) =>
          statusOf(one, states[index] ?? "pending")
        ),
      }));
  },
);

/** Any registry in which each database has applied its first few migrations and no others. */
export const orderlySituations: fc.Arbitrary<Situation> = fc.tuple(
  definitions,
  fc.record({ a: fc.nat(8), b: fc.nat(8), c: fc.nat(8) }),
).map(([{ migrations, databases }, applied]) => {
  const registry = createRegistry(migrations, databases);
  const left = new Map(Object.entries(applied));
  return {
    registry,
    statuses: registry.migrations.map((one) => {
      const count = left.get(one.database) ?? 0;
      left.set(one.database, count - 1);
      return statusOf(one, count > 0 ? "applied" : "pending");
    }),
  };
});

/**
 * A registry and what was found: markers, tables without markers, and a ledger, in any
 * disagreement.
 */
export const findings: fc.Arbitrary<{ readonly registry: Registry; readonly found: FoundState }> =
  definitions.chain(({ migrations, databases }) => {
    const registry = createRegistry(migrations, databases);
    return fc.tuple(...registry.migrations.map(traces)).map((all) => {
      const of = (database: string) =>
        all.filter(({ migration }) => migration.database === database);
      return {
        registry,
        found: {
          databases: new Map(databases.map((name) => [name, stateOf(name, of(name))])),
          ledger: {
            history: new Map(all.flatMap(({ row }) => row === null ? [] : [[row.id, row]])),
            interruptedDowngrades: new Set(
              all.filter(({ isInterrupted }) => isInterrupted).map(({ migration }) => migration.id),
            ),
          },
        },
      };
    });
  });

interface Traces {
  readonly migration: Migration;
  readonly presence: "marked" | "adoptable" | "absent";
  readonly marker: Marker;
  readonly row: HistoryRow | null;
  readonly isInterrupted: boolean;
}

function traces(migration: Migration): fc.Arbitrary<Traces> {
  const name = fc.constantFrom(migration.name, `${migration.id}_former_name`);
  const sql = typeof migration.upgrade === "string" ? migration.upgrade : "";
  return fc.record({
    migration: fc.constant(migration),
    presence: fc.constantFrom("marked", "adoptable", "absent"),
    marker: fc.record({
      id: fc.constant(migration.id),
      name,
      appliedAt: fc.nat(),
      durationSeconds: fc.option(fc.double({ min: 0, max: 9, noNaN: true })),
      upgradeSql: fc.option(fc.constantFrom(sql, `${sql}, other`, `-- note\n${sql}  `)),
    }),
    row: fc.option(fc.record({
      id: fc.constant(migration.id),
      name,
      databasePath: fc.constant(`data/${migration.database}.db`),
      appliedAt: fc.nat(),
      durationSeconds: fc.constant(null),
      status: fc.constantFrom("applied", "rolled_back", "failed"),
      error: fc.constant(null),
    })),
    isInterrupted: fc.boolean(),
  });
}

function stateOf(name: string, all: readonly Traces[]): DatabaseState {
  const markers = all.filter(({ presence }) => presence === "marked").map(({ marker }) => marker);
  return {
    name,
    path: `data/${name}.db`,
    exists: true,
    sizeBytes: 4096,
    journalMode: "wal",
    markers: markers.length === 0 ? null : markers,
    hasTables: true,
    adoptable: all.filter(({ presence }) => presence === "adoptable")
      .map(({ migration }) => migration.id),
  };
}

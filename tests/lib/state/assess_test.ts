import assert from "node:assert/strict";
import fc from "fast-check";
import type { HistoryRow } from "../../../lib/state/ledger.ts";
import type { Marker } from "../../../lib/state/marker.ts";
import { createRegistry } from "../../../lib/migration/migration.ts";
import {
  assess,
  type Correction,
  corrections,
  type FoundState,
  migrationsIn,
  summarize,
} from "../../../lib/state/assess.ts";
import { findings } from "../arbitraries.ts";
import { migrationOf } from "../support.ts";

/** Reconciles plain data. */
function reconciled(found: FoundState, wrong: readonly Correction[]): FoundState {
  const databases = new Map(found.databases);
  const history = new Map(found.ledger.history);
  const interruptedDowngrades = new Set(found.ledger.interruptedDowngrades);
  for (const correction of wrong) {
    const { migration, kind } = correction;
    const { id, database } = migration;
    // Each correction adds an event, so a rollback is no longer the last one.
    interruptedDowngrades.delete(id);
    if (kind === "forget") history.delete(id);
    else if (kind === "finish_rollback") {
      history.set(id, { ...correction.row, status: "rolled_back" });
    } else {
      const marker = kind === "record"
        ? correction.marker
        : newMarker(migration.id, migration.name);
      const { appliedAt, durationSeconds } = marker;
      history.set(id, {
        id,
        name: marker.name,
        databasePath: "",
        appliedAt,
        durationSeconds,
        status: "applied",
        error: null,
      });
      const state = databases.get(database);
      if (kind === "adopt" && state !== undefined) {
        databases.set(database, {
          ...state,
          markers: [...state.markers ?? [], marker],
          adoptable: state.adoptable.filter((one) => one !== id),
        });
      }
    }
  }
  return { databases, ledger: { history, interruptedDowngrades } };
}

function newMarker(id: string, name: string): Marker {
  return { id, name, appliedAt: 1, durationSeconds: null, upgradeSql: null };
}

function hasMigration(found: FoundState, database: string, id: string): boolean {
  const state = found.databases.get(database);
  return (state?.markers ?? []).some((one) => one.id === id) ||
    (state?.adoptable ?? []).includes(id);
}

Deno.test("after reconciling there is nothing to correct", () => {
  fc.assert(fc.property(findings, ({ registry, found }) => {
    const after = reconciled(found, corrections(registry, found));
    assert.deepEqual(corrections(registry, after), []);
  }));
});

Deno.test("after reconciling the ledger has exactly the migrations in the databases as applied", () => {
  fc.assert(fc.property(findings, ({ registry, found }) => {
    const { ledger } = reconciled(found, corrections(registry, found));
    for (const { id, database } of registry.migrations) {
      const isRecorded = ledger.history.get(id)?.status === "applied";
      assert.equal(isRecorded, hasMigration(found, database, id));
    }
  }));
});

Deno.test("a migration is applied or changed exactly if its database has it, regardless of the ledger", () => {
  fc.assert(fc.property(findings, ({ registry, found }) => {
    const statuses = assess(registry, found);
    assert.deepEqual(statuses.map(({ id }) => id), registry.migrations.map(({ id }) => id));
    for (const { id, database, state, appliedAt } of statuses) {
      const isThere = state === "applied" || state === "changed";
      assert.equal(isThere, hasMigration(found, database, id));
      if (!isThere) assert.equal(appliedAt, null);
    }
  }));
});

Deno.test("reconciling does not change the state of any migration", () => {
  fc.assert(fc.property(findings, ({ registry, found }) => {
    const stateOf = (state: FoundState) => assess(registry, state).map((one) => one.state);
    const after = stateOf(reconciled(found, corrections(registry, found)));
    stateOf(found).forEach((before, index) => assert.equal(after[index], before));
  }));
});

Deno.test("each correction counts once, as adopted or reconciled", () => {
  fc.assert(fc.property(findings, ({ registry, found }) => {
    const wrong = corrections(registry, found);
    const { adopted, reconciled } = summarize(wrong);
    assert.deepEqual(
      [...adopted, ...reconciled].toSorted(),
      wrong.map(({ migration }) => migration.id).toSorted(),
    );
  }));
});

const registry = createRegistry([
  migrationOf({ name: "001_a", upgrade: "CREATE TABLE a (x)" }),
  migrationOf({ name: "002_b", upgrade: () => {}, database: "other" }),
], ["app", "other"]);

function found(options: {
  markers?: Record<string, readonly Marker[]>;
  rows?: readonly HistoryRow[];
  interrupted?: readonly string[];
}): FoundState {
  return {
    databases: new Map(["app", "other"].map((name) => [name, {
      name,
      path: `${name}.db`,
      exists: true,
      sizeBytes: 0,
      journalMode: "wal",
      markers: options.markers?.[name] ?? null,
      hasTables: false,
      adoptable: [],
    }])),
    ledger: {
      history: new Map((options.rows ?? []).map((row) => [row.id, row])),
      interruptedDowngrades: new Set(options.interrupted),
    },
  };
}

function row(id: string, status: HistoryRow["status"]): HistoryRow {
  const shared = { databasePath: "", appliedAt: 7, durationSeconds: null, error: null };
  return { id, name: `${id}_x`, status, ...shared };
}

function statesOf(state: FoundState): string[] {
  return assess(registry, state).map((one) => `${one.name} ${one.state}`);
}

Deno.test("a migration without any record is pending", () => {
  assert.deepEqual(statesOf(found({})), ["001_a pending", "002_b pending"]);
});

Deno.test("a migration that is not in its database has the last state in the ledger, but is never applied", () => {
  assert.deepEqual(
    statesOf(found({ rows: [row("001", "failed"), row("002", "rolled_back")] })),
    ["001_a failed", "002_b rolled_back"],
  );
  assert.deepEqual(statesOf(found({ rows: [row("001", "applied")] }))[0], "001_a pending");
  assert.deepEqual(
    statesOf(found({ rows: [row("001", "applied")], interrupted: ["001"] }))[0],
    "001_a rolled_back",
  );
});

Deno.test("a different text is a change; different comments and line endings are not", () => {
  const marker = newMarker("001", "001_a");
  for (
    const [upgradeSql, state] of [
      ["CREATE TABLE a (x)", "applied"],
      ["-- why\r\nCREATE TABLE a (x)  \r\n\r\n", "applied"],
      ["CREATE TABLE a (y)", "changed"],
      [null, "applied"],
    ] as const
  ) {
    const markers = { app: [{ ...marker, upgradeSql }] };
    assert.equal(statesOf(found({ markers }))[0], `001_a ${state}`);
  }
});

Deno.test("a function cannot be compared, so it is not changed; a different name is a change", () => {
  const marker = newMarker("002", "002_b");
  assert.equal(statesOf(found({ markers: { other: [marker] } }))[1], "002_b applied");
  const renamed = { ...marker, name: "002_former" };
  assert.equal(statesOf(found({ markers: { other: [renamed] } }))[1], "002_b changed");
});

Deno.test("a marker that is unknown, or known for another database, is missing from the registry", () => {
  const markers = { app: [newMarker("099", "099_newer"), newMarker("002", "002_b")] };
  assert.deepEqual(statesOf(found({ markers })).slice(2), ["099_newer missing", "002_b missing"]);
});

Deno.test("a migration replaces others only in a database that has all of them", () => {
  const squashed = createRegistry(
    [migrationOf({ name: "003_squash", replaces: ["001", "002", "003"] })],
    ["app", "other"],
  );
  const all = ["001_a", "002_b", "003_c"].map((name) => newMarker(name.slice(0, 3), name));
  const statesWith = (markers: readonly Marker[]) =>
    assess(squashed, found({ markers: { app: markers } })).map((one) => `${one.name} ${one.state}`);
  assert.deepEqual(statesWith(all), ["003_squash applied"]);
  assert.deepEqual(statesWith(all.slice(1)), ["003_squash changed", "002_b missing"]);
});

Deno.test("the migrations in a database are in the order they were applied", () => {
  const both = createRegistry(
    [migrationOf({ name: "1_a" }), migrationOf({ name: "2_b" })],
    ["app", "other"],
  );
  const markers = { app: [newMarker("2", "2_b"), newMarker("1", "1_a"), newMarker("9", "9_x")] };
  const migrations = migrationsIn(both, found({ markers }), "app");
  // Including one whose file is missing, from its marker.
  assert.deepEqual(migrations.map(({ name }) => name), ["2_b", "1_a", "9_x"]);
  assert.equal(migrations[2]?.database, "app");
});

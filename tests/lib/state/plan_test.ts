import assert from "node:assert/strict";
import fc from "fast-check";
import {
  ChangedMigrationError,
  DowngradeBlockedError,
  OutOfOrderError,
  UnknownMarkerError,
  UnknownMigrationError,
} from "../../../lib/base/errors.ts";
import { createRegistry, type Migration } from "../../../lib/migration/migration.ts";
import {
  type DowngradeRequest,
  migrationsToApply,
  migrationsToRollBack,
  type UpgradeRequest,
} from "../../../lib/state/plan.ts";
import type { MigrationStatus } from "../../../lib/state/assess.ts";
import { orderlySituations, type Situation, situations, statusOf } from "../arbitraries.ts";
import { migrationOf } from "../support.ts";

type Kind = "all" | "to" | "migration";
const kinds = fc.constantFrom<Kind>("all", "to", "migration");

/** The plan, or the error that it throws. */
function attempt(plan: () => Migration[]): Migration[] | Error {
  try {
    return plan();
  } catch (error) {
    if (error instanceof Error) return error;
    throw error;
  }
}

function isApplied(statuses: readonly MigrationStatus[], migration: Migration): boolean {
  return statuses.some(({ id, state }) => id === migration.id && state === "applied");
}

/** A request that names one of the migrations, or all if there are none. */
function requestFor(situation: Situation, kind: Kind, place: number): UpgradeRequest {
  const { migrations } = situation.registry;
  const named = migrations[place % Math.max(1, migrations.length)];
  return kind === "all" || named === undefined ? {} : { [kind]: named.id };
}

/** The migrations of a request, lowest first. */
function asked({ registry }: Situation, request: UpgradeRequest): Migration[] {
  const { to, migration } = request;
  return registry.migrations.filter(({ id }) =>
    (to === undefined || BigInt(id) <= BigInt(to)) && (migration === undefined || id === migration)
  );
}

Deno.test("an upgrade applies exactly the requested pending migrations, in order, or refuses", () => {
  fc.assert(fc.property(situations, kinds, fc.nat(), (situation, kind, place) => {
    const { registry, statuses } = situation;
    const request = requestFor(situation, kind, place);
    const wanted = asked(situation, request).filter((one) => !isApplied(statuses, one));
    const plan = attempt(() => migrationsToApply(registry, statuses, request));
    const isOrderly = wanted.every((one) =>
      registry.migrations.filter((other) =>
        other.database === one.database && !wanted.includes(other)
      )
        .every((other) => isApplied(statuses, other) === BigInt(other.id) < BigInt(one.id))
    );
    if (isOrderly) assert.deepEqual(plan, wanted);
    else assert(plan instanceof OutOfOrderError);
  }));
});

Deno.test("with nothing out of order, a full upgrade applies everything pending", () => {
  fc.assert(fc.property(orderlySituations, ({ registry, statuses }) => {
    const plan = migrationsToApply(registry, statuses, {});
    assert.deepEqual(plan, registry.migrations.filter((one) => !isApplied(statuses, one)));
    const after = registry.migrations.map((one) => statusOf(one, "applied"));
    assert.deepEqual(migrationsToApply(registry, after, {}), []);
  }));
});

Deno.test("an upgrade to a migration followed by a full one applies the same as a full upgrade", () => {
  fc.assert(fc.property(orderlySituations, fc.nat(), (situation, place) => {
    const { registry, statuses } = situation;
    const first = migrationsToApply(registry, statuses, requestFor(situation, "to", place));
    const between = statuses.map((one) =>
      first.some(({ id }) => id === one.id) ? { ...one, state: "applied" as const } : one
    );
    const second = migrationsToApply(registry, between, {});
    assert.deepEqual([...first, ...second], migrationsToApply(registry, statuses, {}));
  }));
});

Deno.test("a downgrade rolls back the newest first, each the latest of its database, or refuses", () => {
  const requests = fc.tuple(
    fc.constantFrom<Kind | "steps">("all", "to", "migration", "steps"),
    fc.nat(6),
  );
  fc.assert(fc.property(situations, requests, (situation, [kind, place]) => {
    const { registry, statuses } = situation;
    const request: DowngradeRequest = kind === "steps"
      ? { steps: place + 1 }
      : requestFor(situation, kind, place);
    const applied = registry.migrations.filter((one) => isApplied(statuses, one));
    const wanted = applied.toReversed()
      .filter(({ id }) => request.migration === undefined || id === request.migration)
      .filter(({ id }) => request.to === undefined || BigInt(id) > BigInt(request.to))
      .slice(0, request.steps);
    const left = [...applied];
    const isPossible = wanted.every((one) => {
      const latest = left.findLast(({ database }) => database === one.database);
      left.splice(left.indexOf(one), 1);
      return latest === one && one.downgrade !== undefined;
    });
    const plan = attempt(() => migrationsToRollBack(registry, statuses, request));
    if (isPossible) assert.deepEqual(plan, wanted);
    else assert(plan instanceof DowngradeBlockedError);
  }));
});

const [first, second, third] = [
  migrationOf({ name: "001_first", downgrade: "SELECT 1" }),
  migrationOf({ name: "002_second", downgrade: "SELECT 1" }),
  migrationOf({ name: "003_third" }),
];
const registry = createRegistry([first, second, third], ["app"]);

Deno.test("a later migration of the same database blocks a rollback, and the error names it and its command", () => {
  const statuses = [statusOf(first, "applied"), statusOf(second, "applied")];
  assert.throws(() => migrationsToRollBack(registry, statuses, { migration: "1" }), (error) => {
    assert(error instanceof DowngradeBlockedError);
    assert.match(error.message, /001_first.*002_second/);
    assert.match(error.help ?? "", /downgrade --migration 002/);
    return true;
  });
});

Deno.test("a migration without a downgrade cannot be rolled back, and the error says so", () => {
  assert.throws(
    () => migrationsToRollBack(registry, [statusOf(third, "applied")], {}),
    { name: "DowngradeBlockedError", message: /003_third: it has no downgrade/ },
  );
});

Deno.test("a migration cannot skip an earlier one, and the error names the command that applies both", () => {
  assert.throws(() => migrationsToApply(registry, [], { migration: "002" }), (error) => {
    assert(error instanceof OutOfOrderError);
    assert.match(error.message, /002_second.*001_first/);
    assert.match(error.help ?? "", /upgrade --to 002/);
    return true;
  });
});

Deno.test("a changed migration can be rolled back, but nothing can be applied after it", () => {
  const statuses = [statusOf(first, "changed")];
  assert.throws(() => migrationsToApply(registry, statuses, {}), ChangedMigrationError);
  assert.deepEqual(migrationsToRollBack(registry, statuses, {}), [first]);
});

Deno.test("a marker of an unknown migration stops every plan", () => {
  const stranger = migrationOf({ name: "099_newer" });
  const statuses = [statusOf(stranger, "missing")];
  assert.throws(() => migrationsToApply(registry, statuses, {}), UnknownMarkerError);
  assert.throws(() => migrationsToRollBack(registry, statuses, {}), UnknownMarkerError);
});

Deno.test("a request that names an unknown migration is refused before anything else", () => {
  for (const request of [{ migration: "9" }, { to: "9" }]) {
    assert.throws(() => migrationsToApply(registry, [], request), UnknownMigrationError);
    assert.throws(() => migrationsToRollBack(registry, [], request), UnknownMigrationError);
  }
});

Deno.test("to and migration together select what both select", () => {
  assert.deepEqual(migrationsToApply(registry, [], { migration: "001", to: "002" }), [first]);
  assert.deepEqual(migrationsToApply(registry, [], { migration: "002", to: "001" }), []);
});

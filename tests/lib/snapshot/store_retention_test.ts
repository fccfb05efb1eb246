import assert from "node:assert/strict";
import fc from "fast-check";
import { MigratorLockedError } from "../../../lib/base/errors.ts";
import {
  expired,
  prune,
  type PruneCandidate,
  type Retention,
} from "../../../lib/snapshot/prune.ts";
import { lockStore } from "../../../lib/snapshot/store.ts";
import { TemporaryDirectory } from "../support.ts";
import { filesOf, writeFake } from "./bot.ts";

const DAY = 86_400;

const DATABASES = ["positions", "trading", "ml_training", "migrations"];
const REASONS = ["manual", "automatic", "safety"] as const;

/** Snapshots from about three years, in any order, with their databases. */
function candidatesOf(
  databases: fc.Arbitrary<string[]>,
  reasons: readonly PruneCandidate["reason"][],
): fc.Arbitrary<PruneCandidate[]> {
  return fc.uniqueArray(
    fc.record({
      createdAt: fc.oneof(
        fc.integer({ min: 1_700_000_000, max: 1_800_000_000 }),
        // Many of the same few days.
        fc.integer({ min: 1_735_603_200, max: 1_735_603_200 + 20 * DAY }),
      ),
      reason: fc.constantFrom(...reasons),
      isWhole: fc.boolean(),
      databases,
    }),
    { selector: ({ createdAt }) => createdAt, maxLength: 40 },
  ).map((all) => all.map((one) => ({ ...one, filled: one.databases, name: `n${one.createdAt}` })));
}

/** All manual, and each with all databases. */
const candidates = candidatesOf(fc.constant(DATABASES), ["manual"]);

/** Partial ones in between, for all reasons; the ledger is in nearly every one. */
const mixed = candidatesOf(
  fc.oneof(
    fc.constant(DATABASES),
    fc.subarray(DATABASES.slice(0, 3), { minLength: 1 }).map((some) => [...some, "migrations"]),
    fc.subarray(DATABASES, { minLength: 1 }),
  ),
  REASONS,
);

const count = fc.option(fc.nat(12), { nil: undefined });
const retentions: fc.Arbitrary<Retention> = fc.record({
  keep: count,
  keepDaily: count,
  keepWeekly: count,
  keepMonthly: count,
}).map((all) => Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)));

/** The day, the Monday of the week and the month of a time, by the calendar. */
const periods = {
  keepDaily: (moment: number) => new Date(moment * 1000).toISOString().slice(0, 10),
  keepWeekly: (moment: number) => {
    const date = new Date(moment * 1000);
    while (date.getUTCDay() !== 1) date.setUTCDate(date.getUTCDate() - 1);
    return date.toISOString().slice(0, 10);
  },
  keepMonthly: (moment: number) => new Date(moment * 1000).toISOString().slice(0, 7),
};

/**
 * Names that the rules keep of intact snapshots of one database and one reason, in the simplest
 * way.
 */
function keptByRules(whole: readonly PruneCandidate[], retention: Retention): string[] {
  const kept = whole.slice(0, Math.max(1, retention.keep ?? 0)).map(({ name }) => name);
  for (const [rule, period] of Object.entries(periods)) {
    const all = [...new Set(whole.map(({ createdAt }) => period(createdAt)))];
    const wanted = all.slice(0, retention[rule as keyof typeof periods] ?? 0);
    for (const one of wanted) {
      const newest = whole.find(({ createdAt }) => period(createdAt) === one);
      if (newest !== undefined) kept.push(newest.name);
    }
  }
  return kept;
}

/** Snapshots that contain a database, newest first. */
function having(all: readonly PruneCandidate[], database: string): PruneCandidate[] {
  return all.filter(({ databases }) => databases.includes(database))
    .toSorted((a, b) => b.createdAt - a.createdAt);
}

/** Names to keep: those that the rules keep for each database and reason, or its newest file. */
function keptByModel(all: readonly PruneCandidate[], retention: Retention): Set<string> {
  const kept = new Set<string>();
  for (const database of DATABASES) {
    const found = having(all, database);
    const whole = found.filter(({ isWhole }) => isWhole);
    if (whole.length === 0 && found[0] !== undefined) kept.add(found[0].name);
    for (const reason of REASONS) {
      const group = whole.filter((one) => one.reason === reason);
      for (const name of keptByRules(group, retention)) kept.add(name);
    }
  }
  return kept;
}

for (const [what, arbitrary] of [["full", candidates], ["full and partial", mixed]] as const) {
  Deno.test(`the ${what} snapshots that expire are those that a plain model of the calendar does not keep`, () => {
    fc.assert(
      fc.property(arbitrary, retentions, (all, retention) => {
        const kept = keptByModel(all, retention);
        const gone = all.filter(({ name }) => !kept.has(name))
          .toSorted((a, b) => a.createdAt - b.createdAt).map(({ name }) => name);
        assert.deepEqual(expired(all, retention), gone);
      }),
      { numRuns: 500 },
    );
  });
}

Deno.test("the newest intact one of each database and reason is kept, whatever else exists", () => {
  fc.assert(
    fc.property(mixed, retentions, (all, retention) => {
      const gone = new Set(expired(all, retention));
      for (const database of DATABASES) {
        const whole = having(all, database).filter(({ isWhole }) => isWhole);
        for (const reason of [undefined, ...REASONS]) {
          const newest = whole.find((one) => reason === undefined || one.reason === reason);
          if (newest !== undefined) assert(!gone.has(newest.name), `${database}: ${newest.name}`);
        }
      }
    }),
    { numRuns: 500 },
  );
});

Deno.test("the last file of a database is kept, even in a damaged snapshot", () => {
  fc.assert(fc.property(mixed, retentions, (all, retention) => {
    const gone = new Set(expired(all, retention));
    for (const database of DATABASES) {
      const found = having(all, database);
      if (found.length > 0) assert(found.some(({ name }) => !gone.has(name)), database);
    }
  }));
});

Deno.test("`restore latest` and `restore --undo` find the same snapshots as before", () => {
  fc.assert(fc.property(mixed, retentions, (all, retention) => {
    const gone = new Set(expired(all, retention));
    const whole = all.filter(({ isWhole }) => isWhole)
      .toSorted((a, b) => b.createdAt - a.createdAt);
    for (const isUndo of [false, true]) {
      const newest = whole.find(({ reason }) => (reason === "safety") === isUndo);
      if (newest !== undefined) assert(!gone.has(newest.name), newest.name);
    }
  }));
});

Deno.test("partial snapshots, and those for another reason, displace none", () => {
  fc.assert(fc.property(candidates, mixed, retentions, (full, others, retention) => {
    const taken = new Set(full.map(({ name }) => name));
    const beside = others.filter(({ name, reason }) => reason !== "manual" && !taken.has(name));
    const partial = others.filter(({ name, databases }) =>
      !databases.includes("positions") && !taken.has(name)
    );
    const kept = (all: readonly PruneCandidate[]) => {
      const gone = new Set(expired(all, retention));
      return full.filter(({ name, isWhole }) => isWhole && !gone.has(name));
    };
    assert.deepEqual(kept([...full, ...beside]), kept(full));
    for (const one of kept(full)) assert(kept([...full, ...partial]).includes(one), one.name);
  }));
});

Deno.test("keep N keeps the newest N intact ones and nothing else", () => {
  fc.assert(fc.property(candidates, fc.integer({ min: 1, max: 12 }), (all, keep) => {
    const gone = new Set(expired(all, { keep }));
    const stay = all.filter(({ name }) => !gone.has(name));
    const whole = all.filter(({ isWhole }) => isWhole);
    if (whole.length === 0) return;
    assert.equal(stay.length, Math.min(keep, whole.length));
    const oldest = Math.min(...stay.map(({ createdAt }) => createdAt));
    for (const one of whole) assert.equal(one.createdAt >= oldest, !gone.has(one.name));
  }));
});

Deno.test("a damaged one may be removed, and is never counted as kept, if there is an intact one", () => {
  fc.assert(fc.property(candidates, retentions, (all, retention) => {
    fc.pre(all.some(({ isWhole }) => isWhole));
    const gone = expired(all, retention);
    for (const { name, isWhole } of all) if (!isWhole) assert(gone.includes(name));
    const withoutDamaged = expired(all.filter(({ isWhole }) => isWhole), retention);
    const damaged = new Set(all.filter(({ isWhole }) => !isWhole).map(({ name }) => name));
    assert.deepEqual(gone.filter((name) => !damaged.has(name)), withoutDamaged);
  }));
});

Deno.test("keeping more never deletes more, and pruning twice equals pruning once", () => {
  fc.assert(fc.property(mixed, retentions, fc.nat(5), (all, retention, more) => {
    const gone = expired(all, retention);
    const left = all.filter(({ name }) => !gone.includes(name));
    assert.deepEqual(expired(left, retention), []);
    const longer = { ...retention, keep: (retention.keep ?? 0) + more };
    for (const name of expired(all, longer)) assert(gone.includes(name));
  }));
});

Deno.test("keeps the newest of each day, of each week from Monday, and of each month", () => {
  const at = (name: string): PruneCandidate => ({
    name,
    createdAt: Date.parse(`${name}:00Z`) / 1000,
    reason: "manual",
    isWhole: true,
    databases: DATABASES,
    filled: DATABASES,
  });
  const all = [
    "2024-12-31T23:59",
    "2025-01-05T10:00", // Sunday
    "2025-01-06T00:00", // Monday
    "2025-01-06T12:00",
    "2025-01-31T23:59",
    "2025-02-01T00:00", // the week of 27 January
  ].map(at);
  const kept = (retention: Retention) => {
    const gone = expired(all, retention);
    return all.map(({ name }) => name).filter((name) => !gone.includes(name));
  };
  assert.deepEqual(kept({ keepDaily: 3 }), [
    "2025-01-06T12:00",
    "2025-01-31T23:59",
    "2025-02-01T00:00",
  ]);
  assert.deepEqual(kept({ keepWeekly: 3 }), [
    "2025-01-05T10:00",
    "2025-01-06T12:00",
    "2025-02-01T00:00",
  ]);
  assert.deepEqual(kept({ keepMonthly: 9 }), [
    "2024-12-31T23:59",
    "2025-01-31T23:59",
    "2025-02-01T00:00",
  ]);
  assert.deepEqual(kept({}), ["2025-02-01T00:00"]);
  assert.deepEqual(kept({ keep: 0 }), ["2025-02-01T00:00"]);
});

Deno.test("the nightly snapshot of all databases is kept for its day despite a partial one in the afternoon", () => {
  const taken = (
    name: string,
    reason: PruneCandidate["reason"],
    ...databases: string[]
  ): PruneCandidate => {
    const createdAt = Date.parse(`${name}:00Z`) / 1000;
    return { name, createdAt, reason, isWhole: true, databases, filled: databases };
  };
  const all = [
    taken("2025-11-19T03:00", "manual", ...DATABASES),
    taken("2025-11-20T03:00", "manual", ...DATABASES),
    taken("2025-11-20T14:00", "safety", ...DATABASES),
    taken("2025-11-20T15:00", "automatic", "trading", "migrations"),
    taken("2025-11-20T16:00", "manual", "trading", "migrations"),
    taken("2025-11-21T03:00", "manual", ...DATABASES),
  ];
  assert.deepEqual(expired(all, { keepDaily: 14 }), []);
  assert.deepEqual(expired(all, { keepDaily: 2 }), ["2025-11-19T03:00"]);
  assert.deepEqual(expired(all.slice(0, -1), { keep: 1 }), ["2025-11-19T03:00"]);
  assert.deepEqual(expired(all, { keep: 0 }), expired(all, { keep: 1 }));
  assert.deepEqual(
    expired(all, { keep: 1 }),
    all.map(({ name }) => name).filter((_, index) => [0, 1, 4].includes(index)),
  );
});

Deno.test("nothing is removed while another command writes or deletes snapshots", async () => {
  using directory = new TemporaryDirectory();
  for (const createdAt of [1_500_000_000, 1_500_000_001]) {
    await writeFake(directory.path, { createdAt, reason: "manual", databases: ["app"] });
  }
  using _lock = await lockStore(directory.path, { timeout: 0 });
  const before = filesOf(directory.path);
  const retention = { keep: 1 };
  await assert.rejects(prune(directory.path, 0, { retention }), MigratorLockedError);
  assert.deepEqual(filesOf(directory.path), before);
});

Deno.test("an empty list stays empty", () => {
  assert.deepEqual(expired([], { keep: 3 }), []);
});

Deno.test("the newest snapshot in which a database has rows stays when newer ones have it empty", () => {
  const sometimesFilled = candidates.chain((all) =>
    fc.tuple(...all.map(() => fc.boolean())).map((flags) =>
      all.map((one, index) => flags[index] ? one : { ...one, filled: ["migrations"] })
    )
  );
  fc.assert(fc.property(sometimesFilled, retentions, (all, retention) => {
    const gone = new Set(expired(all, retention));
    const [newest] = all
      .filter(({ isWhole, filled }) => isWhole && filled.includes("trading"))
      .toSorted((a, b) => b.createdAt - a.createdAt);
    assert(newest === undefined || !gone.has(newest.name));
  }));
});

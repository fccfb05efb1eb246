import assert from "node:assert/strict";
import fc from "fast-check";
import { type Candidate, expired, type Retention } from "../../../lib/snapshot/retention.ts";

const DAY = 86_400;

/** Snapshots of different moments within some three years, in any order. */
const candidates: fc.Arbitrary<Candidate[]> = fc.uniqueArray(
  fc.record({
    createdAt: fc.oneof(
      fc.integer({ min: 1_700_000_000, max: 1_800_000_000 }),
      // Many of the same few days.
      fc.integer({ min: 1_735_603_200, max: 1_735_603_200 + 20 * DAY }),
    ),
    isWhole: fc.boolean(),
  }),
  { selector: ({ createdAt }) => createdAt, maxLength: 40 },
).map((all) => all.map((one) => ({ ...one, name: `n${one.createdAt}` })));

const count = fc.option(fc.nat(12), { nil: undefined });
const retentions: fc.Arbitrary<Retention> = fc.record({
  keep: count,
  keepDaily: count,
  keepWeekly: count,
  keepMonthly: count,
}).map((all) => Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)));

/** The day, the Monday of the week and the month of a moment, by the calendar. */
const periods = {
  keepDaily: (moment: number) => new Date(moment * 1000).toISOString().slice(0, 10),
  keepWeekly: (moment: number) => {
    const date = new Date(moment * 1000);
    while (date.getUTCDay() !== 1) date.setUTCDate(date.getUTCDate() - 1);
    return date.toISOString().slice(0, 10);
  },
  keepMonthly: (moment: number) => new Date(moment * 1000).toISOString().slice(0, 7),
};

/** Names that stay, said in the plainest way. */
function keptByModel(all: readonly Candidate[], retention: Retention): Set<string> {
  const whole = all.filter(({ isWhole }) => isWhole).toSorted((a, b) => b.createdAt - a.createdAt);
  const kept = new Set(whole.slice(0, 1).map(({ name }) => name));
  for (const { name } of whole.slice(0, retention.keep ?? 0)) kept.add(name);
  for (const [rule, period] of Object.entries(periods)) {
    const all = [...new Set(whole.map(({ createdAt }) => period(createdAt)))];
    const wanted = all.slice(0, retention[rule as keyof typeof periods] ?? 0);
    for (const one of wanted) {
      const newest = whole.find(({ createdAt }) => period(createdAt) === one);
      if (newest !== undefined) kept.add(newest.name);
    }
  }
  return kept;
}

Deno.test("what expires is what a plain model of the calendar does not keep", () => {
  fc.assert(
    fc.property(candidates, retentions, (all, retention) => {
      const kept = keptByModel(all, retention);
      const gone = all.filter(({ name }) => !kept.has(name))
        .toSorted((a, b) => a.createdAt - b.createdAt).map(({ name }) => name);
      assert.deepEqual(expired(all, retention), gone);
    }),
    { numRuns: 500 },
  );
});

Deno.test("the newest whole one always stays", () => {
  fc.assert(fc.property(candidates, retentions, (all, retention) => {
    const newest = all.filter(({ isWhole }) => isWhole)
      .toSorted((a, b) => b.createdAt - a.createdAt)[0];
    if (newest !== undefined) assert(!expired(all, retention).includes(newest.name));
  }));
});

Deno.test("keep N keeps the newest N whole ones and nothing else", () => {
  fc.assert(fc.property(candidates, fc.integer({ min: 1, max: 12 }), (all, keep) => {
    const gone = new Set(expired(all, { keep }));
    const stay = all.filter(({ name }) => !gone.has(name));
    const whole = all.filter(({ isWhole }) => isWhole);
    assert.equal(stay.length, Math.min(keep, whole.length));
    const oldest = Math.min(...stay.map(({ createdAt }) => createdAt));
    for (const one of whole) assert.equal(one.createdAt >= oldest, !gone.has(one.name));
  }));
});

Deno.test("a damaged one may go, and is never counted as kept", () => {
  fc.assert(fc.property(candidates, retentions, (all, retention) => {
    const gone = expired(all, retention);
    for (const { name, isWhole } of all) if (!isWhole) assert(gone.includes(name));
    const withoutDamaged = expired(all.filter(({ isWhole }) => isWhole), retention);
    const damaged = new Set(all.filter(({ isWhole }) => !isWhole).map(({ name }) => name));
    assert.deepEqual(gone.filter((name) => !damaged.has(name)), withoutDamaged);
  }));
});

Deno.test("to keep more never deletes more, and pruning twice is pruning once", () => {
  fc.assert(fc.property(candidates, retentions, fc.nat(5), (all, retention, more) => {
    const gone = expired(all, retention);
    const left = all.filter(({ name }) => !gone.includes(name));
    assert.deepEqual(expired(left, retention), []);
    const longer = { ...retention, keep: (retention.keep ?? 0) + more };
    for (const name of expired(all, longer)) assert(gone.includes(name));
  }));
});

Deno.test("the newest of each day, of each week from Monday, and of each month", () => {
  const at = (name: string): Candidate => ({
    name,
    createdAt: Date.parse(`${name}:00Z`) / 1000,
    isWhole: true,
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

Deno.test("nothing expires of nothing", () => {
  assert.deepEqual(expired([], { keep: 3 }), []);
});

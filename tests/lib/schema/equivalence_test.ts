import assert from "node:assert/strict";
import fc from "fast-check";
import { openMemory } from "../../../lib/database/open.ts";
import { sameCheck, unmatchedChecks } from "../../../lib/schema/equivalence.ts";
import { schemaOf } from "./sample.ts";

const TABLE = `CREATE TABLE t (
  x INTEGER, low REAL, open REAL, close REAL, high REAL,
  side TEXT, kind TEXT NOT NULL, nick TEXT COLLATE NOCASE, loose
)`;
const context = { table: "t", columns: (await schemaOf(TABLE)).tables[0]?.columns ?? [] };

const SAME: readonly (readonly [string, string])[] = [
  ["x > 0", "( X>0 /* more than none */ )"],
  ["x BETWEEN 0 AND 1", "x >= 0 AND x <= 1"],
  ["x BETWEEN 0 AND 1", "x IS NULL OR (x >= 0 AND x <= 1)"],
  ["x > 0", "NOT x <= 0"],
  ["x > -5", "t.x > - 5"],
  ["x <> 0", "x < 0 OR 0 < x"],
  ["side IN ('long', 'short')", "side = 'long' OR side = 'short'"],
  ["side IN ('long', 'short')", `"side" IN ("short", "long")`],
  [
    "side IN ('long', 'short')",
    "CASE side WHEN 'long' THEN 1 WHEN 'short' THEN 1 ELSE side IS NULL END",
  ],
  ["kind <> ''", "kind IS NOT NULL AND kind != ''"],
  ["nick = 'a'", "nick = 'A'"],
  ["length(side) > 3", "LENGTH( side )>3"],
  [
    "close IS NULL OR (side = 'long' AND close < open) OR (side = 'short' AND close > open)",
    "CASE WHEN close IS NULL THEN 1 WHEN side = 'long' THEN open > close" +
    " WHEN side = 'short' THEN open < close WHEN side IS NULL AND close <> open THEN NULL" +
    " WHEN side IS NULL AND open IS NULL THEN NULL ELSE 0 END",
  ],
  [
    "high >= low AND high >= open AND high >= close AND low <= open AND low <= close AND low > 0",
    "NOT (low <= 0 OR open < low OR close < low OR open > high OR close > high OR low > high)",
  ],
];

const DIFFERENT: readonly (readonly [string, string])[] = [
  ["x > 0", "x >= 0"],
  ["x > 0", "x > 1"],
  ["x > 0", "x >= 1"],
  ["x > 0", "x > 0 AND x < 9007199254740991"],
  ["x > 0", "low > 0"],
  ["x > 0", "x > 0 OR x < -3"],
  ["x > 0 AND x < 5", "x > 0"],
  ["x IS NOT NULL", "x = x"],
  ["x", "x <> 0"],
  ["side", "0"],
  ["loose = 1", "loose = '1'"],
  ["side = 'long'", "side = 'Long'"],
  ["side IN ('long', 'short')", "side IN ('long', 'short', '')"],
  ["side IN ('long', 'short')", "side IN ('long', 'short') OR side > 'short'"],
  ["nick = 'a'", "nick = 'a' COLLATE BINARY"],
  ["low < high", "low <= high"],
  ["low < open AND open < high", "low < open AND low < high"],
  // Not decided, and so different.
  ["length(side) > 3", "length(side) >= 4"],
  ["x + 1 > 0", "x > -1"],
  ["side = 1e3", "side = 1000"],
];

Deno.test("checks that mean the same are the same", async () => {
  for (const [a, b] of SAME) {
    assert.equal(await sameCheck(a, b, context), true, `${a} | ${b}`);
    assert.equal(await sameCheck(b, a, context), true, `${b} | ${a}`);
  }
});

Deno.test("checks that mean something else differ", async () => {
  for (const [a, b] of DIFFERENT) {
    assert.equal(await sameCheck(a, b, context), false, `${a} | ${b}`);
  }
});

Deno.test("sets of checks are paired by text, by meaning, and then as a whole", async () => {
  const checks = (...expressions: string[]) =>
    expressions.map((expression) => ({ name: null, expression }));
  const none = { missing: [], extra: [] };
  const unmatched = async (expected: string[], actual: string[]) =>
    await unmatchedChecks(checks(...expected), checks(...actual), context);
  assert.deepEqual(await unmatched(["x > 0", "low > 0"], ["0 < low", "X>0", "x > 0"]), none);
  assert.deepEqual(await unmatched(["x BETWEEN 0 AND 1"], ["x >= 0", "x <= 1"]), none);
  assert.deepEqual(
    await unmatched(["x >= 0 AND low > 0", "x <= 1"], ["low > 0 AND x <= 1", "x >= 0"]),
    none,
  );
  assert.deepEqual(await unmatched([], ["x = 1 OR x <> 1"]), none);
  assert.deepEqual(await unmatched(["x > 0", "low > 0"], ["x > 0", "low > 1"]), {
    missing: checks("low > 0"),
    extra: checks("low > 1"),
  });
});

/** A random expression of comparisons over two columns. */
const comparison = fc.letrec<{ term: string; all: string }>((tie) => ({
  term: fc.oneof(
    fc.tuple(
      fc.constantFrom("x", "low"),
      fc.constantFrom("<", "<=", "=", "<>", "IS"),
      fc.constantFrom("0", "2", "-1.5", "low", "x"),
    )
      .map((parts) => parts.join(" ")),
    fc.constantFrom(
      "x IN (0, 2)",
      "low BETWEEN 0 AND 2",
      "x IS NULL",
      "side = 'long'",
      "side < 'm'",
    ),
  ),
  all: fc.oneof(
    { maxDepth: 3 },
    tie("term"),
    tie("all").map((inner) => `NOT (${inner})`),
    fc.tuple(tie("all"), fc.constantFrom("AND", "OR"), tie("all"))
      .map(([a, operator, b]) => `(${a}) ${operator} (${b})`),
  ),
})).all;

/** Small changes of an expression; some keep its meaning. */
const change = fc.constantFrom(
  ...[["<=", "<"], ["AND", "OR"], ["0", "2"], ["IS", "="], ["<>", "IS NOT"], ["low", "x"]] as const,
);

Deno.test("checks that are found the same accept the same rows", async () => {
  await using connection = openMemory();
  await connection.exec(TABLE);
  const value = fc.constantFrom("NULL", "-9", "-1.5", "-1", "0", "1", "2", "3.5", "'a'", "'9'");
  const side = fc.constantFrom("NULL", "'long'", "'m'", "'z'", "''", "3");
  const rowsOf = fc.array(fc.tuple(value, value, side), { minLength: 8 });
  await fc.assert(
    fc.asyncProperty(comparison, change, rowsOf, async (a, [from, to], rows) => {
      const b = a.replace(from, to);
      if (a === b || !await sameCheck(a, b, context)) return;
      const values = rows.map((columns) => `(${columns.join(", ")})`).join(", ");
      await connection.exec(`DELETE FROM t; INSERT INTO t (x, low, side, kind)
        SELECT column1, column2, column3, '' FROM (VALUES ${values})`);
      const found = await connection.all(
        `SELECT x, low, side FROM t WHERE ((${a}) IS NOT FALSE) <> ((${b}) IS NOT FALSE)`,
      );
      assert.deepEqual(found, [], `${a} | ${b}`);
    }),
    { numRuns: 200 },
  );
});

Deno.test("a check means the same as its double negation and with its sides swapped", async () => {
  await fc.assert(
    fc.asyncProperty(comparison, comparison, async (a, b) => {
      assert.equal(await sameCheck(a, `NOT NOT (${a})`, context), true, a);
      assert.equal(await sameCheck(`(${a}) OR (${b})`, `(${b}) OR (${a})`, context), true);
    }),
    { numRuns: 50 },
  );
});

import assert from "node:assert/strict";
import fc from "fast-check";
import { sameLines, unifiedDiff } from "../../../lib/base/diff.ts";

const NAMES = { before: "old", after: "new" };

Deno.test("texts that differ only in line endings have an empty diff", () => {
  assert.equal(unifiedDiff("a\nb\n", "a\nb\n", NAMES), "");
  assert.equal(unifiedDiff("a\r\nb", "a\nb\n", NAMES), "");
  assert.equal(unifiedDiff("", "", NAMES), "");
  assert(sameLines("a\r\nb", "a\nb\n"));
  assert(!sameLines("a\nb", "a\nb\n\n"));
});

Deno.test("a changed line is shown between three equal lines on each side", () => {
  const before = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
  assert.equal(
    unifiedDiff(before, before.replace("5", "five"), NAMES),
    "--- old\n+++ new\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8",
  );
});

Deno.test("distant changes get separate hunks, nearby ones share a hunk", () => {
  const before = Array.from({ length: 30 }, (_, at) => `line ${at}`).join("\n");
  const far = before.replace("line 2\n", "").replace("line 20\n", "line 20\nmore\n");
  const near = before.replace("line 2\n", "").replace("line 9\n", "line 9\nmore\n");
  const headers = (after: string) =>
    unifiedDiff(before, after, NAMES).split("\n").filter((line) => line.startsWith("@@"));
  assert.deepEqual(headers(far), ["@@ -1,6 +1,5 @@", "@@ -19,6 +18,7 @@"]);
  assert.equal(headers(near).length, 2);
  assert.equal(headers(near.replace("line 8\n", "")).length, 1);
});

Deno.test("compared with an empty text, every line is added or removed", () => {
  assert.equal(unifiedDiff("", "a\n", NAMES), "--- old\n+++ new\n@@ -0,0 +1 @@\n+a");
  assert.equal(unifiedDiff("a\nb\n", "", NAMES), "--- old\n+++ new\n@@ -1,2 +0,0 @@\n-a\n-b");
});

Deno.test("long texts without a common line are compared in reasonable time", () => {
  const text = (word: string) => Array.from({ length: 20_000 }, (_, at) => `${word} ${at}`);
  const diff = unifiedDiff(text("a").join("\n"), text("b").join("\n"), NAMES).split("\n");
  assert.equal(diff.length, 40_003);
});

/** Applies a unified diff like `patch`. */
function patch(before: readonly string[], diff: string): string[] {
  const lines: string[] = [];
  let at = 0;
  for (const line of diff.split("\n").slice(2)) {
    const [, first, count] = /^@@ -(\d+)(?:,(\d+))? /.exec(line) ?? [];
    if (first !== undefined) {
      const start = count === "0" ? Number(first) : Number(first) - 1;
      lines.push(...before.slice(at, start));
      at = start;
    } else if (line.startsWith("+")) lines.push(line.slice(1));
    else {
      assert.equal(line.slice(1), before[at++]);
      if (line.startsWith(" ")) lines.push(line.slice(1));
    }
  }
  return [...lines, ...before.slice(at)];
}

Deno.test("applying a diff turns the first text into the second, with the fewest edits", () => {
  const text = fc.array(fc.constantFrom("a", "b", "c", "d"), { maxLength: 20 });
  fc.assert(fc.property(text, text, fc.nat(3), (before, after, context) => {
    const options = { ...NAMES, context };
    const diff = unifiedDiff(before.join("\n"), after.join("\n"), options);
    if (diff === "") return assert.deepEqual(before, after);
    assert.deepEqual(patch(before, diff), after);
    const edits = diff.split("\n").slice(2).filter((line) => /^[-+]/.test(line)).length;
    assert.equal(edits, before.length + after.length - 2 * longest(before, after));
  }));
});

/** Length of the longest common subsequence, by the textbook algorithm. */
function longest(a: readonly string[], b: readonly string[]): number {
  let last = b.map(() => 0);
  for (const one of a) {
    const row: number[] = [];
    for (const [at, other] of b.entries()) {
      row.push(
        one === other ? (last[at - 1] ?? 0) + 1 : Math.max(last[at] ?? 0, row[at - 1] ?? 0),
      );
    }
    last = row;
  }
  return last.at(-1) ?? 0;
}

import assert from "node:assert/strict";
import fc from "fast-check";
import { firstStatement, lineOf, skipTrivia } from "../../../lib/sql/tokens.ts";

const trivia = fc.array(
  fc.constantFrom(
    " ",
    "\t",
    "\n",
    "\r\n",
    "\f",
    ";",
    "\uFEFF",
    "-- a; b\n",
    "/* a */",
    "/**/",
    "/* -- */",
  ),
  { maxLength: 8 },
).map((parts) => parts.join(""));

Deno.test("white space, comments, semicolons and byte-order marks are skipped, and nothing else", () => {
  fc.assert(
    fc.property(trivia, fc.constantFrom("SELECT 1", "-1", "/2", "'--'", "é"), (before, sql) => {
      assert.equal(skipTrivia(before + sql, 0), before.length);
      assert.equal(skipTrivia(sql + before, sql.length), sql.length + before.length);
    }),
  );
});

Deno.test("an unclosed comment extends to the end", () => {
  for (const sql of ["-- a", "/* a", "/*/", "/* a *", ";/*", "--"]) {
    assert.equal(skipTrivia(sql, 0), sql.length);
  }
});

Deno.test("comments do not nest, as in SQLite", () => {
  const sql = "/* /* */ SELECT 1 */";
  assert.equal(skipTrivia(sql, 0), sql.indexOf("SELECT"));
});

Deno.test("the line of an offset is counted from 1, by line feeds", () => {
  const sql = "a\nb\r\n\nc";
  assert.deepEqual([0, 1, 2, 4, 5, 6].map((at) => lineOf(sql, at)), [1, 1, 2, 2, 3, 4]);
  assert.equal(lineOf("", 0), 1);
});

Deno.test("in messages a statement ends at the first semicolon outside quotes and comments", () => {
  for (
    const statement of [
      "SELEC ';' || \"a;b\", [c;d], `e;f` -- g;h\n FROM t",
      "/* ; */ CREAT TABLE t (a - b / c)",
      "INSERT 'unterminated",
      "",
    ]
  ) {
    assert.equal(firstStatement(`${statement}; SELECT 1;`).trim(), statement.trim());
  }
  assert.equal(firstStatement(`OOPS ${"'x',".repeat(1e6)}`).length, 10_000);
});

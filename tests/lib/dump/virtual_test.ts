import assert from "node:assert/strict";
import { virtualRows } from "../../../lib/dump/catalog.ts";

/** How the rows of a virtual table `t`, created with some SQL, are written. */
function rowsOf(using: string): string {
  const rows = virtualRows(`CREATE VIRTUAL TABLE "t" USING ${using}`, {
    name: "t",
    columns: [{ name: "a", affinity: "BLOB", isStrict: false }],
    order: { by: "columns", names: [] },
    isSmall: false,
    rowsPerPiece: 1,
    hasLargeRows: false,
  });
  return rows.kind === "sql" ? rows.sql : rows.table.columns.map(({ name }) => name).join(" ");
}

Deno.test("full-text tables are written with their row ids, others by their columns", () => {
  assert.equal(rowsOf("fts5(a)"), "rowid a");
  assert.equal(rowsOf("FTS5 ( content, tokenize = 'porter' )"), "rowid a");
  assert.equal(rowsOf("fts4(a)"), "rowid a");
  assert.equal(rowsOf("rtree(a, b, c)"), "a");
});

Deno.test("what a virtual table shows of another one is recreated, not written", () => {
  const rebuild = `INSERT INTO "t" ("t") VALUES ('rebuild');\n`;
  assert.equal(rowsOf("fts5(a, content = 'docs')"), rebuild);
  assert.equal(rowsOf("fts5(a, CONTENT=docs, content_rowid=id)"), rebuild);
  assert.equal(rowsOf(`fts4(content="docs", a)`), rebuild);
});

Deno.test("a virtual table that keeps no rows becomes a comment", () => {
  const comment = `-- "t" keeps no rows that could be written\n`;
  for (const using of [`fts5(a, content = '')`, `fts5(a, content="")`, "fts5vocab('f', 'row')"]) {
    assert.equal(rowsOf(using), comment, using);
  }
  assert.equal(rowsOf("fts4aux('f')"), comment);
});

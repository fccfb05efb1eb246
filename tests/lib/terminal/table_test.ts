import assert from "node:assert/strict";
import fc from "fast-check";
import {
  createStyle,
  printableLines,
  renderTable,
  visibleWidth,
  wrapText,
} from "../../../lib/terminal/text.ts";

Deno.test("columns are aligned under their header", () => {
  const table = renderTable([["orders", "1,234"], ["fills", "7"]], {
    header: ["table", "rows"],
    align: ["left", "right"],
    indent: 2,
  });
  assert.equal(
    table,
    [
      "  table    rows",
      "  orders  1,234",
      "  fills       7",
    ].join("\n"),
  );
});

Deno.test("rows may have missing cells, and a table may have no rows", () => {
  assert.equal(renderTable([["a"], ["bb", "c", ""]]), "a\nbb  c");
  assert.equal(renderTable([]), "");
  assert.equal(renderTable([], { header: ["a", "b"] }), "a  b");
});

Deno.test("colours do not count towards a cell's width", () => {
  const style = createStyle(true);
  const table = renderTable([[style.green("ok"), "x"], ["failed", style.red("")]]);
  assert.equal(
    printableLines(table, { styled: true }),
    "\x1b[32mok\x1b[39m      x\nfailed",
  );
});

Deno.test("line breaks and colours in the data of a cell or note are escaped", () => {
  const cell = "a\nb\x1b[8mHID";
  assert.equal(renderTable([[cell, "c"]]), "a\\nb\\x1b[8mHID  c");
  assert.equal(renderTable([["x"]], { notes: [cell] }), "x\n    a\\nb\\x1b[8mHID");
});

Deno.test("wide characters count as two cells, combining and joined ones as none", () => {
  assert.equal(visibleWidth("abc"), 3);
  assert.equal(visibleWidth(createStyle(true).bold("abc")), 3);
  assert.equal(visibleWidth("表計"), 4);
  assert.equal(visibleWidth("한국"), 4);
  assert.equal(visibleWidth("e\u0301"), 1);
  assert.equal(visibleWidth("✅"), 2);
  assert.equal(visibleWidth("👩‍💻"), 2);
  assert.equal(visibleWidth("👍🏽"), 2);
  assert.equal(visibleWidth("🇩🇪"), 2);
  assert.equal(visibleWidth("Größe → 5"), 9);
});

Deno.test("no line ends with a space, and no cell is lost", () => {
  const cells = fc.array(fc.string({ unit: fc.constantFrom("a", "é", "表", "-") }));
  fc.assert(fc.property(fc.array(cells, { minLength: 1 }), fc.nat(4), (rows, indent) => {
    const lines = renderTable(rows, { indent }).split("\n");
    assert.equal(lines.length, rows.length);
    lines.forEach((line, index) => {
      assert.equal(line, line.trimEnd());
      assert.deepEqual(line.split(/ +/).filter(Boolean), rows[index]?.filter(Boolean));
    });
  }));
});

Deno.test("the last column is wrapped to the width and aligned, and no text is lost", () => {
  const rows = [["--to ID", "apply up to this one, and stop there"], ["--json", "short"], ["x"]];
  assert.equal(
    renderTable(rows, { indent: 2, width: 32 }),
    [
      "  --to ID  apply up to this one,",
      "           and stop there",
      "  --json   short",
      "  x",
    ].join("\n"),
  );
  const wide = renderTable([["a", "word ".repeat(40).trim()]], { width: 60 });
  assert.deepEqual(wide.match(/word/g)?.length, 40);
  for (const line of wide.split("\n")) assert(line.length <= 60);
});

Deno.test("notes are shown below their rows, also with a header, and are wrapped", () => {
  const note = `${"much ".repeat(20)}to say`;
  assert.equal(
    renderTable([["a", "1"], ["b", "2"]], { header: ["NAME", "N"], notes: ["", note] }),
    [
      "NAME  N",
      "a     1",
      "b     2",
      `    ${"much ".repeat(15).trim()}`,
      `    ${"much ".repeat(5)}to say`,
    ].join("\n"),
  );
});

Deno.test("wrapping does not break words, and joining the lines returns the text", () => {
  const word = fc.string({ unit: fc.constantFrom("a", "表", "-"), minLength: 1 });
  fc.assert(
    fc.property(
      fc.array(word, { minLength: 1 }),
      fc.integer({ min: 1, max: 30 }),
      (words, width) => {
        const lines = wrapText(words.join(" "), width);
        assert.equal(lines.join(" "), words.join(" "));
        for (const line of lines) assert(visibleWidth(line) <= width || !line.includes(" "));
      },
    ),
  );
});

Deno.test("on a narrow screen each row of a table with a header becomes a block", () => {
  const rows = [["001_a", "positions", "applied"], ["002_b", "trading", "failed"]];
  const options = { header: ["MIGRATION", "DATABASE", "STATE"], notes: ["", "no such table: x"] };
  const table = renderTable(rows, { ...options, screen: 29 });
  assert.equal(table.split("\n")[0], "MIGRATION  DATABASE   STATE");
  assert.equal(
    renderTable(rows, { ...options, screen: 20 }),
    [
      ...["001_a", "  DATABASE  positions", "  STATE     applied", ""],
      ...["002_b", "  DATABASE  trading", "  STATE     failed", "    no such table: x"],
    ].join("\n"),
  );
});

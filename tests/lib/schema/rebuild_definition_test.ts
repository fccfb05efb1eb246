import fc from "fast-check";
import assert from "node:assert/strict";
import { createUnder, editDefinition, nameIn } from "../../../lib/schema/rebuild_definition.ts";
import { normalize } from "../../../lib/sql/tokens.ts";

/** Possible text between two items: white space and comments, with a line break after `--`. */
const gap = fc.constantFrom("", " ", "\n  ", " -- a, (b\n", "\n  -- it's\n  ", "/* ) , */ ");

const allColumns = [
  "a INTEGER PRIMARY KEY",
  "side TEXT DEFAULT (',)') CHECK (side IN ('a', 'b'))",
  "price REAL CHECK (price > (0)) -- euros\n NOT NULL",
  '"odd, (name" TEXT',
  "[check] DECIMAL(10, 2) CONSTRAINT fine CHECK ([check] <> ',')",
  "`foreign` REFERENCES other (x) ON DELETE CASCADE",
];
const allConstraints = [
  "UNIQUE (a, side)",
  "CONSTRAINT sane CHECK (price < 100 AND side <> 'x')",
  "CHECK (price BETWEEN 1 AND 2) ON CONFLICT IGNORE",
  "FOREIGN KEY (a) REFERENCES other (x)",
];
const names = ["a", "side", "PRICE", "odd, (name", "check", "foreign"];

/** A definition as a list of items, and its text with white space and comments in between. */
const definitions = fc.record({
  columns: fc.subarray(allColumns, { minLength: 2 }),
  constraints: fc.subarray(allConstraints),
}).chain(({ columns, constraints }) => {
  const items = [...columns, ...constraints];
  return fc.array(gap, { minLength: items.length * 2, maxLength: items.length * 2 })
    .map((gaps) => ({
      columns,
      constraints,
      text: `CREATE TABLE t (${
        items.map((item, index) => `${gaps[index * 2]}${item}${gaps[index * 2 + 1]}`).join(",")
      }) STRICT`,
    }));
});

const textOf = (...items: readonly string[]): string =>
  normalize(`CREATE TABLE t (${items.join(", ")}) STRICT`);

Deno.test("an edit changes only what it names, regardless of comments", () => {
  fc.assert(fc.property(definitions, fc.nat(), ({ columns, constraints, text }, pick) => {
    const at = pick % columns.length;
    const column = columns[at] ?? "";
    const name = names[allColumns.indexOf(column)] ?? "";
    const others = columns.toSpliced(at, 1);
    const edited = (edits: Parameters<typeof editDefinition>[1]) =>
      normalize(editDefinition(text, edits));
    assert.equal(edited({}), textOf(...columns, ...constraints));
    assert.equal(edited({ drops: [name] }), textOf(...others, ...constraints));
    assert.equal(
      edited({ changeColumns: { [name]: "ANY -- new" } }),
      textOf(
        ...columns.toSpliced(at, 1, `"${name.toLowerCase()}" ANY`),
        ...constraints,
      ),
    );
    assert.equal(
      edited({ addColumns: { "new one": "TEXT CHECK (1)" } }),
      textOf(...columns, '"new one" TEXT CHECK (1)', ...constraints),
    );
    assert.equal(
      edited({ addChecks: { new_check: "a > 0" } }),
      textOf(...columns, ...constraints, "CONSTRAINT new_check CHECK (a > 0)"),
    );
  }));
});

Deno.test("a check is found by name or expression, in a column or in the table", () => {
  fc.assert(fc.property(definitions, ({ columns, constraints, text }) => {
    const cases: readonly (readonly [check: string, piece: string])[] = [
      ["side in('a','b')", " CHECK (side IN ('a', 'b'))"],
      ["price > (0)", " CHECK (price > (0))"],
      ["FINE", " CONSTRAINT fine CHECK ([check] <> ',')"],
      ["sane", "CONSTRAINT sane CHECK (price < 100 AND side <> 'x')"],
      ["price between 1 and 2", "CHECK (price BETWEEN 1 AND 2) ON CONFLICT IGNORE"],
    ];
    const items = [...columns, ...constraints];
    for (const [check, piece] of cases) {
      const without = items.map((item) => item.replace(piece, "")).filter((item) => item !== "");
      if (without.join() === items.join()) {
        assert.throws(() => editDefinition(text, { dropChecks: [check] }), /it has no check/);
      } else {
        assert.equal(normalize(editDefinition(text, { dropChecks: [check] })), textOf(...without));
      }
    }
  }));
});

Deno.test("the text keeps its layout around an edit", () => {
  const sql = `CREATE TABLE t (
  a INTEGER, -- first
  -- about b
  b TEXT CHECK (b <> ''), -- second
  c TEXT -- last
)`;
  assert.equal(
    editDefinition(sql, { drops: ["b"], addColumns: { d: "REAL" } }),
    `CREATE TABLE t (
  a INTEGER, -- first
  -- about b
  c TEXT, -- last
  d REAL
)`,
  );
  assert.equal(
    editDefinition(sql, { drops: ["c"], dropChecks: ["b <> ''"], addChecks: { x: "a" } }),
    `CREATE TABLE t (
  a INTEGER, -- first
  -- about b
  b TEXT, -- second
  CONSTRAINT x CHECK (a)
)`,
  );
  assert.equal(
    editDefinition("CREATE TABLE t (a, b, CHECK (a))", { drops: ["b"], addColumns: { c: "" } }),
    "CREATE TABLE t (a, c, CHECK (a))",
  );
});

Deno.test("a table is created under another name in every spelling", () => {
  const cases: readonly (readonly [sql: string, created: string])[] = [
    ["CREATE TABLE t(a)", 'CREATE TABLE "x"(a)'],
    ['create table if not exists main."t" (a) ; -- end', 'CREATE TABLE "x" (a)'],
    [
      "CREATE TABLE t (t, b REFERENCES t (t), CHECK (t.b > T . t AND 't' <> tt.b)) STRICT",
      `CREATE TABLE "x" (t, b REFERENCES t (t), CHECK (b >  t AND 't' <> tt.b)) STRICT`,
    ],
  ];
  for (const [sql, created] of cases) {
    assert.equal(createUnder(sql, "x"), created);
    assert.equal(nameIn(sql), "t");
  }
  assert.equal(nameIn("CREATE TABLE OrderS (a)"), "OrderS");
});

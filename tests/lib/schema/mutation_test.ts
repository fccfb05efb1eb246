import assert from "node:assert/strict";
import fc from "fast-check";
import { tokenize } from "../../../lib/sql/tokens.ts";
import { differences } from "./sample.ts";
import { trials } from "../../effort.ts";

interface Column {
  readonly name: string;
  readonly type: string;
  readonly notNull: boolean;
  readonly default: number | null;
  readonly atLeast: number | null;
  readonly collation: string | null;
  readonly unique: boolean;
  readonly parent: string | null;
  readonly indexed: "ASC" | "DESC" | null;
}

const column = fc.record({
  type: fc.constantFrom("INTEGER", "REAL", "TEXT", "BLOB", ""),
  notNull: fc.boolean(),
  default: fc.option(fc.nat(9)),
  atLeast: fc.option(fc.integer({ min: -9, max: 9 })),
  collation: fc.option(fc.constantFrom("NOCASE", "RTRIM")),
  unique: fc.boolean(),
  parent: fc.option(fc.constantFrom("CASCADE", "SET NULL", "RESTRICT")),
  indexed: fc.option(fc.constantFrom("ASC" as const, "DESC" as const)),
});
const table = fc.array(column, { minLength: 2, maxLength: 6 })
  .map((columns) => columns.map((one, at): Column => ({ name: `c_${at}`, ...one })));

/** The table in one of two spellings: constraints at the columns, or at the end. */
function write(columns: readonly Column[], apart = false): string {
  const rules: string[] = [];
  const rule = (ofColumn: string, ofTable: string): string => {
    if (apart) rules.unshift(ofTable);
    return apart ? "" : ofColumn;
  };
  const lines = columns.map((c) =>
    [
      `${c.name} ${c.type}`,
      c.default === null ? "" : `DEFAULT ${apart ? `(${c.default})` : c.default}`,
      c.collation === null ? "" : `COLLATE ${c.collation}`,
      c.atLeast === null
        ? ""
        : rule(`CHECK (${c.name} >= ${c.atLeast})`, `CHECK (${c.name} >= ${c.atLeast})`),
      c.unique ? rule("UNIQUE", `CONSTRAINT u_${c.name} UNIQUE (${c.name})`) : "",
      c.parent === null ? "" : rule(
        `REFERENCES p ON DELETE ${c.parent}`,
        `FOREIGN KEY (${c.name}) REFERENCES p (id) ON DELETE ${c.parent}`,
      ),
      c.notNull ? "NOT NULL" : "",
    ].join(" ")
  );
  const indexes = columns.filter((c) => c.indexed !== null)
    .map((c) => `CREATE INDEX i_${c.name} ON t (${c.name} ${c.indexed});`);
  return [
    "CREATE TABLE p (id INTEGER PRIMARY KEY);",
    `CREATE TABLE t (${[...lines, ...rules].join(", ")});`,
    ...indexes,
  ].join("\n");
}

/** The same text with different white space, comments, case and quotes. */
function reformat(sql: string, ways: readonly number[]): string {
  return tokenize(sql).map((token, at) => {
    const way = ways[at % ways.length] ?? 0;
    const isName = /^(c_\d|t|p|id)$/.test(token.text);
    const text = isName && way % 3 === 0
      ? `"${token.text}"`
      : token.kind === "word" && way % 2 === 0
      ? token.text.toLowerCase()
      : token.text;
    return text + [" ", "\n", " /* , ( ' */ ", " -- it's )\n"][way % 4];
  }).join("");
}

const CHANGES: readonly ((column: Column) => Partial<Column>)[] = [
  () => ({ name: "other" }),
  ({ type }) => ({ type: type === "REAL" ? "TEXT" : "REAL" }),
  ({ notNull }) => ({ notNull: !notNull }),
  (one) => ({ default: one.default === null ? 1 : null }),
  (one) => ({ default: (one.default ?? 0) + 1 }),
  ({ atLeast }) => ({ atLeast: atLeast === null ? 1 : null }),
  ({ atLeast }) => ({ atLeast: (atLeast ?? 0) + 1 }),
  ({ collation }) => ({ collation: collation === null ? "NOCASE" : null }),
  ({ unique }) => ({ unique: !unique }),
  ({ parent }) => ({ parent: parent === null ? "CASCADE" : null }),
  ({ parent }) => ({ parent: parent === "RESTRICT" ? "CASCADE" : "RESTRICT" }),
  ({ indexed }) => ({ indexed: indexed === null ? "ASC" : null }),
  ({ indexed }) => ({ indexed: indexed === "ASC" ? "DESC" : "ASC" }),
];

Deno.test("a schema is equal if only its spelling differs", async () => {
  const ways = fc.array(fc.nat(99), { minLength: 1, maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(table, ways, async (columns, ways) => {
      const sql = write(columns);
      assert.deepEqual(await differences(sql, reformat(sql, ways)), []);
      assert.deepEqual(await differences(sql, reformat(write(columns, true), ways)), []);
    }),
    { numRuns: trials(25) },
  );
});

Deno.test("every single change to a table is found", async () => {
  await fc.assert(
    fc.asyncProperty(table, fc.nat(), fc.constantFrom(...CHANGES), async (columns, at, change) => {
      const place = at % columns.length;
      const changed = columns.map((one, i) => i === place ? { ...one, ...change(one) } : one);
      const found = await differences(write(columns), write(changed, true));
      assert.notEqual(found.length, 0, `${write(columns)}\n${write(changed, true)}`);
    }),
    { numRuns: trials(60) },
  );
});

Deno.test("a dropped, added or moved column is found", async () => {
  await fc.assert(
    fc.asyncProperty(table, fc.nat(), async (columns, at) => {
      const fewer = columns.toSpliced(at % columns.length, 1);
      const dropped = columns[at % columns.length]?.name;
      const missing = await differences(write(columns), write(fewer));
      assert.ok(missing.some((detail) => detail.startsWith(`column "${dropped}" is missing`)));
      const extra = await differences(write(fewer), write(columns));
      assert.ok(extra.some((detail) => detail.startsWith(`column "${dropped}" is not expected`)));
      const [moved] = await differences(write(columns), write(columns.toReversed()));
      assert.match(moved ?? "", /^columns are in a different order/);
    }),
    { numRuns: trials(20) },
  );
});

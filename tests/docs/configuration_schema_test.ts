import assert from "node:assert/strict";
import { Ajv } from "ajv";
import { parseConfiguration } from "../../lib/state/configuration.ts";

const schema = JSON.parse(
  Deno.readTextFileSync(new URL("../../docs/catalyst.schema.json", import.meta.url)),
);
const isValid = new Ajv({ strict: true, strictRequired: false }).compile(schema);

async function isAccepted(value: unknown): Promise<boolean> {
  try {
    await parseConfiguration(JSON.stringify(value), "catalyst.json");
    return true;
  } catch {
    return false;
  }
}

/** Values, some valid and some invalid for each key. */
const values: readonly unknown[] = [
  ...[
    "",
    "a",
    "libsql://db.example.com",
    "WS://h",
    ":memory:",
    0,
    1,
    -1,
    1.5,
    true,
    false,
    null,
    [],
    {},
  ],
  ...[{ a: "a.db" }, { a: "" }, { a: 1 }, { a: ":memory:" }, { "a b": "a.db" }, {
    Migrations: "a",
  }],
  ...["last", "daily", "weekly", "monthly", "yearly"].flatMap((key) =>
    [1, 0, -1, 1.5, "1"].map((count) => ({ [key]: count }))
  ),
];

Deno.test("the schema has the same keys as the program", async () => {
  const error: unknown = await parseConfiguration('{"unknown": 1}', "c").catch((error) => error);
  assert(error instanceof Error);
  const known = /expected one of (.*)$/.exec(error.message)?.[1]?.split(", ");
  assert.deepEqual(Object.keys(schema.properties), known);
});

Deno.test("the schema accepts exactly what the program accepts", async () => {
  const keys = [...Object.keys(schema.properties), "unknown"];
  for (const key of keys) {
    for (const value of values) {
      for (const extra of [{}, { databases: { b: "b.db" } }]) {
        const document = { ...extra, [key]: value };
        assert.equal(isValid(document), await isAccepted(document), JSON.stringify(document));
      }
    }
  }
});

import assert from "node:assert/strict";
import { ConfigurationError } from "../../../lib/base/errors.ts";
import { databaseFiles, parseConfiguration } from "../../../lib/state/configuration.ts";

async function refusal(text: string): Promise<ConfigurationError> {
  const error: unknown = await parseConfiguration(text, "catalyst.json").catch((error) => error);
  assert(error instanceof ConfigurationError, String(error));
  return error;
}

Deno.test("a configuration with every key is read", async () => {
  const text = `{
    "$schema": "./catalyst.schema.json",
    "databases": { "market": "market.db", "alerts": "feedback/alerts.db" },
    "bundled": false,
    "dataDir": "bot/data", "migrationsDir": "bot/migrations", "backupDir": "/mnt/nas",
    "keep": { "last": 14, "monthly": 6 },
    "timeout": 2.5
  }`;
  assert.deepEqual(await parseConfiguration(text, "catalyst.json"), {
    path: "catalyst.json",
    databases: { market: "market.db", alerts: "feedback/alerts.db" },
    bundled: false,
    dataDir: "bot/data",
    migrationsDir: "bot/migrations",
    backupDir: "/mnt/nas",
    keep: { last: 14, monthly: 6 },
    timeout: 2.5,
  });
});

Deno.test("comments, trailing commas and a byte order mark are allowed", async () => {
  const { databases } = await parseConfiguration(
    '\uFEFF{\n  // prices\n  "databases": { "market": "market.db", /* more later */ },\n}\n',
    "catalyst.jsonc",
  );
  assert.deepEqual(databases, { market: "market.db" });
});

const mistakes: readonly [json: string, place: string, reason: RegExp][] = [
  ["[]", "1:1", /expected an object/],
  ['{"databases": []}', "1:15", /"databases": expected an object of names and paths, found \[\]/],
  ['{\n  "databses": {}\n}', "2:3", /unknown key "databses"; did you mean "databases"\?/],
  ['{"databases": {"a": ""}}', "1:21", /"a": expected the path of a database file, found ""/],
  ['{"databases": {"a": ":memory:"}}', "1:21", /expected the path of a database file/],
  ['{"databases": {"a b": "x.db"}}', "1:16", /database name "a b": expected a letter/],
  ['{"databases": {"Migrations": "x.db"}}', "1:16", /this name is reserved/],
  ['{"databases": {"a": "x", "A": "y"}}', "1:26", /differs from "a" only in case/],
  ['{"bundled": "no"}', "1:13", /"bundled": expected true or false, found "no"/],
  ['{"bundled": false}', "1:13", /expected "databases" to name some/],
  ['{"keep": {"last": 1.5}}', "1:19", /"last": expected a whole number, 0 or more, found 1.5/],
  ['{"keep": {"lasst": 1}}', "1:11", /unknown key "lasst"; did you mean "last"\?/],
  ['{"databases": {"a": "\\ud800.db"}}', "1:21", /"a": expected the path of a database file/],
  ['{"timeout": 1,\n // "x":\n "timeout": 2}', "3:2", /the key "timeout" occurs twice/],
  ['{"databases": {"a": "{", "\\u0061" /**/: "y"}}', "1:26", /the key "a" occurs twice/],
  ['{"timeout": 1e999}', "1:13", /"timeout": expected a number of seconds, 0 or more/],
  ['{"timeout": -1}', "1:13", /"timeout": expected a number of seconds, 0 or more, found -1/],
];

for (const [json, place, reason] of mistakes) {
  Deno.test(`an error names the line, column and expected value of a mistake: ${json}`, async () => {
    const { message, line, column } = await refusal(json);
    assert(message.startsWith(`Cannot use catalyst.json:${place}: `), message);
    assert.match(message, reason);
    assert.equal(`${line}:${column}`, place);
  });
}

Deno.test("objects may share keys", async () => {
  const { keep } = await parseConfiguration(
    '{"databases": {"last": "a:{\\"last\\":", "keep": "b"}, "keep": {"last": 1, /* "last": */}}',
    "catalyst.json",
  );
  assert.deepEqual(keep, { last: 1 });
});

Deno.test("all mistakes are reported, in the order of the file", async () => {
  const { message, details } = await refusal('{"timeout": "x",\n"databases": {"a": 1},\n"x": 2}');
  assert.match(message, /:1:13: /);
  assert.deepEqual(details.map((detail) => detail.slice(0, 18)), [
    "catalyst.json:2:20",
    "catalyst.json:3:1:",
  ]);
});

Deno.test("invalid JSON is refused with the position of the error", async () => {
  const { message } = await refusal('{"databases": {"a": }}');
  assert.equal(message, "Cannot read catalyst.json:1:21: not valid JSON (value expected)");
});

Deno.test("absurdly deep JSON is refused", async () => {
  const deep = "[".repeat(200_000) + "]".repeat(200_000);
  for (const text of [deep, `{"timeout": ${deep}}`, deep.slice(0, 200_000), `${deep} // odd`]) {
    const { message } = await refusal(text);
    assert.equal(message, "Cannot use catalyst.json: its objects and lists are nested too deeply");
  }
});

Deno.test("databases are placed below the prefix, bundled ones first", () => {
  const databases = { market: "market.db", trading: "paper/trading.db", far: "/srv/far.db" };
  assert.deepEqual(
    databaseFiles({ databases, path: "c" }, ["positions", "trading"], {
      prefix: "data/",
      isIsolated: false,
    }),
    {
      positions: "data/positions.db",
      trading: "data/paper/trading.db",
      market: "data/market.db",
      far: "/srv/far.db",
    },
  );
  assert.deepEqual(
    databaseFiles({ databases: { market: "a/market.db" }, path: "c" }, [], {
      prefix: "test_",
      isIsolated: true,
    }),
    { market: "test_a/market.db" },
  );
});

const clashes: readonly [databases: Record<string, string>, isIsolated: boolean, RegExp][] = [
  [{ far: "/srv/far.db" }, true, /path of "far" is absolute/],
  [{ a: "x.db", b: "./x.db" }, false, /"b" and "a" have the same file data\/x.db/],
  [{ a: "x.db", b: "y/../x.db" }, false, /have the same file/],
  [{ a: "positions.db" }, false, /"a" and "positions" have the same file/],
  [{ a: "migrations.db" }, false, /"a" and the ledger have the same file/],
];

Deno.test("a ledger on a server, which is shared, is refused if the databases are isolated", () => {
  const configuration = { databases: {}, ledger: "libsql://db.example.com", path: "c" };
  const at = (isIsolated: boolean) =>
    databaseFiles(configuration, [], { prefix: "x/", isIsolated });
  assert.deepEqual(at(false), {});
  assert.throws(() => at(true), /the ledger is on a server, so DB_PATH_PREFIX/);
});

for (const [databases, isIsolated, reason] of clashes) {
  Deno.test(`databases that share a file or escape the prefix are refused: ${reason}`, () => {
    assert.throws(
      () => databaseFiles({ databases, path: "c" }, ["positions"], { prefix: "data/", isIsolated }),
      (error) => error instanceof ConfigurationError && reason.test(error.message),
    );
  });
}

/** The hash of a database's content. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { DatabaseSync } from "node:sqlite";
import { openMemory } from "../../../lib/database/open.ts";
import { defaultSettings } from "../../../lib/database/connection.ts";
import { readTable } from "../../../lib/dump/catalog.ts";
import { contentHash } from "../../../lib/dump/hash.ts";
import { hashFormat, isDelicate } from "../../../lib/dump/export_formats.ts";
import { execute, tempDir } from "../../helpers.ts";
import { doubles, ODD_DOUBLES } from "./cells.ts";

async function hashOf(sql: string, reals: readonly number[] = []): Promise<string> {
  await using directory = await tempDir();
  const path = `${directory.path}/app.db`;
  execute(path, sql);
  {
    using db = new DatabaseSync(path);
    const insert = reals.length === 0 ? null : db.prepare("INSERT INTO t (v) VALUES (?)");
    for (const number of reals) insert?.run(number);
  }
  return await contentHash({ kind: "file", path }, defaultSettings);
}

const REALS = [
  ...[0.1, 0.2 + 0.1, 1 / 3, 0.0035657659999999963, -2 / 3e20, 1e15, 1e16 + 2, 123456789012345.6],
  ...[9.87654321e-12, 99999.995, 1e29 / 3, -1e-30, 2 ** 60, 2 ** -60, 2 ** 20, -(2 ** 20)],
];

Deno.test("the hash is the same in every version of SQLite", async () => {
  const create = (type: string) => `CREATE TABLE t (id INTEGER PRIMARY KEY, v ${type})`;
  assert.deepEqual(
    {
      fast: await hashOf(create("REAL"), REALS),
      exact: await hashOf(create("REAL"), [...REALS, 5e-324, 1e300, -Infinity]),
      mixed: await hashOf(
        `${create("")}; INSERT INTO t (v) VALUES (NULL), (1), (0.5), ('a'), (x'00'), (1.0 / 3)`,
      ),
      none: await hashOf(`${create("REAL")}; INSERT INTO t (v) VALUES (NULL), (0.0)`),
    },
    {
      fast: "a3a68bb8d5036914155e021586c09e27b48d7f5e75974e266f734f89820bfb3e",
      exact: "0f6259595d83f8508474a72a86e4ff101242ce2760e505751094fb3b89e3d994",
      mixed: "09119f752ff9f97734d0e09be30e2293b56928b12c68ef51975d5ae94fbae48f",
      none: "078997b121285e0a16b324096adfb185f250b2708e28d7148acfbfc366281e58",
    },
  );
});

Deno.test("a hash depends on the last bit of a real, and on the sign of -0.0", async () => {
  const create = "CREATE TABLE t (id INTEGER PRIMARY KEY, v)";
  const hashes = await Promise.all([
    hashOf(create, [0.1]),
    hashOf(create, [0.1 + 2 ** -56]),
    hashOf(create, [-0.1]),
    hashOf(`${create}; INSERT INTO t (v) VALUES (0.0)`),
    hashOf(`${create}; INSERT INTO t (v) VALUES (-0.0)`),
    hashOf(`${create}; INSERT INTO t (v) VALUES (0)`),
    hashOf(`${create}; INSERT INTO t (v) VALUES (1.0)`),
    hashOf(`${create}; INSERT INTO t (v) VALUES (1)`),
  ]);
  assert.equal(new Set(hashes).size, hashes.length);
});

Deno.test("for a hash, SQLite writes every real that isn't delicate as the toolkit does", async () => {
  await using db = openMemory();
  await db.exec("CREATE TABLE t (v)");
  const { columns } = await readTable(db, "t");
  const sql = `SELECT ${hashFormat.textSql(columns)} AS text FROM (SELECT CAST(? AS REAL) AS v)`;
  const sizes = Array.from({ length: 201 }, (_, index) => 2 ** (index - 100));
  const numbers = [
    ...[...ODD_DOUBLES, ...REALS, ...sizes, ...sizes.map((size) => size * (1 - 2 ** -53))],
    ...sizes.map((size) => -size * (1 + 2 ** -52)),
    ...fc.sample(fc.double({ noNaN: true, min: -1e30, max: 1e30 }), 2000),
    ...fc.sample(fc.integer().map((number) => number / 1000), 1000),
    ...fc.sample(doubles, 5000),
  ].filter((number) => !isDelicate(number) && Number.isFinite(number));
  for (const number of numbers) {
    const row = await db.get(sql, [number]);
    const expected = [...hashFormat.row([{ type: "real", text: "", number }], columns)].join("");
    assert.equal(row?.["text"], expected, `${number}`);
    const [, whole = "", power = ""] = /^\((-?\d+)\*2\^(-?\d+)\)$/.exec(expected) ?? [];
    assert.equal(Number(whole) * 2 ** Number(power), number, expected);
  }
});

Deno.test("the AUTOINCREMENT counters count, but not how often they were written", async () => {
  const table = "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, v REAL)";
  const after = (...values: number[]) =>
    `${table}; ${values.map((v) => `INSERT INTO t VALUES (NULL, ${v});`).join("")} DELETE FROM t`;
  assert.notEqual(await hashOf(after(1)), await hashOf(after(1, 2)));
  assert.equal(await hashOf(after(1, 2)), await hashOf(after(3, 4)));
});

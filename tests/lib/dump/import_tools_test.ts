/**
 * Dumps from many versions and tools, kept as files, are imported; the toolkit's dumps load in the
 * shells.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { query } from "../../helpers.ts";
import { makeApp, streamOf } from "./import_support.ts";
import { runShell, shells } from "./shell.ts";

const DUMPS = new URL("../../testdata/dumps/", import.meta.url);

const dumpOf = (name: string): Promise<string> => Deno.readTextFile(new URL(name, DUMPS));

/** The rows that the dumps of `source.sql` must restore. */
const ROWS = {
  orders: [
    { id: 1, note: "two\nlines", price: 1.5 },
    { id: 2, note: "tab\tand cr\r\nx", price: Infinity },
    { id: 3, note: "nul", price: -Infinity },
    { id: 4, note: "esc\x1b[31m", price: 0 },
  ],
  trades: [{ id: "10", b: "00FF" }, { id: "9223372036854775807", b: "" }],
  found: [{ body: "hello world" }],
  boxes: [{ id: 2 }],
  sequences: [{ name: "orders", seq: "5" }, { name: "trades", seq: "9223372036854775807" }],
};

function rowsOf(path: string): typeof ROWS {
  const read = (sql: string) => query(path, sql) as unknown;
  return {
    orders: read("SELECT * FROM orders ORDER BY id"),
    trades: read("SELECT CAST(id AS TEXT) AS id, hex(b) AS b FROM trades ORDER BY trades.id"),
    found: read("SELECT body FROM notes WHERE notes MATCH 'hello'"),
    boxes: read("SELECT id FROM boxes WHERE x0 > 2"),
    sequences: read("SELECT name, CAST(seq AS TEXT) AS seq FROM sqlite_sequence ORDER BY name"),
  } as typeof ROWS;
}

for (
  const name of [
    "shell-3.40-dump.sql",
    "shell-3.53-dump.sql",
    "shell-3.53-recover.sql",
    "python-3.11-iterdump.sql",
  ]
) {
  Deno.test(`a full dump restores every row: ${name}`, async () => {
    await using app = await makeApp();
    await app.import(await dumpOf(name));
    assert.deepEqual(rowsOf(app.path), ROWS);
    assert.deepEqual(app.query("PRAGMA integrity_check"), [{ integrity_check: "ok" }]);
    assert.deepEqual(app.query("SELECT count(*) AS rows FROM wr"), [{ rows: 1 }]);
  });
}

for (
  const name of ["shell-3.40-schema.sql", "shell-3.53-schema.sql", "shell-3.53-fullschema.sql"]
) {
  Deno.test(`a schema creates every table: ${name}`, async () => {
    await using app = await makeApp();
    await app.import(await dumpOf(name));
    const names = app.query(
      "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type <> 'shadow' ORDER BY name",
    ).map(({ name }) => String(name)).filter((name) => !name.startsWith("sqlite_"));
    assert.deepEqual(names, ["boxes", "notes", "orders", "trades", "v", "wr"]);
  });
}

Deno.test("only rows are imported into the existing tables, those of virtual tables once", async () => {
  await using app = await makeApp();
  await app.import(await dumpOf("shell-3.53-schema.sql"));
  const options = { intoExisting: true, backup: false };
  await app.import(await dumpOf("shell-3.53-data-only.sql"), options);
  const { found, boxes, orders } = rowsOf(app.path);
  assert.deepEqual({ found, boxes, orders }, {
    found: ROWS.found,
    boxes: ROWS.boxes,
    orders: ROWS.orders,
  });
});

for (
  const [name, id] of [
    ["python-3.6-iterdump.sql", 7],
    ["adminer.sql", 8],
    ["navicat.sql", 7],
    ["db-browser.sql", 7],
  ] as const
) {
  Deno.test(`the AUTOINCREMENT counters continue where they stopped: ${name}`, async () => {
    await using app = await makeApp();
    await app.import(await dumpOf(name));
    assert.deepEqual(
      app.query("SELECT name, seq, typeof(seq) AS type FROM sqlite_sequence"),
      [{ name: "trades", seq: 42, type: "integer" }],
    );
    assert.deepEqual(app.query("SELECT max(id) AS id FROM trades"), [{ id }]);
  });
}

Deno.test("a dump that is added never lowers an AUTOINCREMENT counter", async () => {
  await using app = await makeApp();
  await app.import(await dumpOf("navicat.sql"));
  await app.import(
    "CREATE TABLE b (id INTEGER PRIMARY KEY AUTOINCREMENT);\nINSERT INTO b VALUES (5);\n" +
      "DELETE FROM sqlite_sequence;\nINSERT INTO sqlite_sequence VALUES ('trades', 3);\n",
    { intoExisting: true, backup: false },
  );
  assert.deepEqual(app.query("SELECT name, seq FROM sqlite_sequence ORDER BY name"), [
    { name: "trades", seq: 42 },
  ]);
});

Deno.test("a dump gives the same result with CRLF, as UTF-16, and compressed in several parts", async () => {
  const dump = await dumpOf("shell-3.40-dump.sql");
  const gzip = async (text: string) =>
    await new Response(new Blob([text]).stream().pipeThrough(new CompressionStream("gzip")))
      .bytes();
  const packed = new Blob([await gzip(dump.slice(0, 400)), await gzip(dump.slice(400))]);
  const wide = new Uint8Array(2 * dump.length + 2);
  for (let at = 0; at <= dump.length; at++) {
    new DataView(wide.buffer).setUint16(2 * at, at === 0 ? 0xfeff : dump.charCodeAt(at - 1), true);
  }
  await using app = await makeApp();
  const crlf = new TextEncoder().encode(dump.replaceAll("\n", "\r\n"));
  // One byte at a time: every token may be split anywhere.
  for (const bytes of [crlf, wide, await packed.bytes()]) {
    for (const size of [1, 100_000]) {
      await app.migrator.importDump(streamOf(bytes, size), {
        database: "app",
        backup: false,
        confirm: () => true,
      });
      const { sequences, found, boxes } = rowsOf(app.path);
      assert.deepEqual({ sequences, found, boxes }, {
        sequences: ROWS.sequences,
        found: ROWS.found,
        boxes: ROWS.boxes,
      });
    }
  }
});

Deno.test("line breaks in the texts of a dump are kept when its lines get CRLF", async () => {
  await using app = await makeApp();
  const text = "CREATE TABLE t (a);\nINSERT INTO t VALUES ('one\ntwo');\n";
  await app.import(text.replaceAll("\n", "\r\n"));
  assert.deepEqual(app.query("SELECT a FROM t"), [{ a: "one\ntwo" }]);
  // A single text with CRLF in a file with LF is unchanged.
  await app.import("CREATE TABLE t (a);\nINSERT INTO t VALUES ('one\r\ntwo');\n");
  assert.deepEqual(app.query("SELECT a FROM t"), [{ a: "one\r\ntwo" }]);
});

for (const { program, label, reason } of shells) {
  Deno.test({
    name: `our dump loads in the ${label} with all rows and virtual tables${reason}`,
    ignore: reason !== "",
    async fn() {
      await using app = await makeApp();
      using source = new DatabaseSync(app.path);
      source.exec(await dumpOf("source.sql"));
      source.close();
      const path = join(app.directory, "loaded.db");
      await runShell(path, await app.migrator.exportDatabase("app"), program);
      assert.deepEqual(rowsOf(path).sequences, ROWS.sequences);
      assert.deepEqual(rowsOf(path).found, ROWS.found);
      assert.deepEqual(rowsOf(path).boxes, ROWS.boxes);
      assert.deepEqual(rowsOf(path).trades, ROWS.trades);
      assert.deepEqual(query(path, "PRAGMA integrity_check"), [{ integrity_check: "ok" }]);
      assert.deepEqual(query(path, "PRAGMA user_version"), [{ user_version: 7 }]);
    },
  });
}

import assert from "node:assert/strict";
import { checkDocument, directory as schemas } from "../../json_documents.ts";
import { createBot, execute, fillBot, runCommandLine, TemporaryDirectory } from "../support.ts";

/** A JSON object, which the tests examine step by step. */
type Json = Record<string, unknown>;

/** The forms of documents that commands have printed, such as `upgrade 0`. */
const seen = new Set<string>();

/** Runs a command with `--json`; stdout must be one document, and fit its JSON Schema. */
async function run(directory: TemporaryDirectory, ...args: string[]): Promise<[number, Json]> {
  const own = directory.names().includes("own") ? ["--migrations-dir", directory.file("own")] : [];
  const all = [...args, "--json", "--data-dir", directory.path, ...own];
  const { code, stdout } = await runCommandLine(all);
  for (const form of await checkDocument(all, stdout)) seen.add(form);
  return [code, JSON.parse(stdout)];
}

/** Writes a migration of the user's own. */
function write(directory: TemporaryDirectory, name: string, sql: string): void {
  Deno.mkdirSync(directory.file("own"), { recursive: true });
  Deno.writeTextFileSync(directory.file(`own/${name}.sql`), sql);
}

Deno.test("upgrade reports its plan and its result", async () => {
  using directory = new TemporaryDirectory();
  const [, plan] = await run(directory, "upgrade", "--dry-run");
  assert.deepEqual((plan["apply"] as Json[]).map(({ id }) => id), ["001", "002", "003"]);
  assert.deepEqual(directory.names(), []);
  const [code, document] = await run(directory, "upgrade");
  assert.equal(code, 0);
  assert.deepEqual((document["applied"] as Json[]).map(({ id }) => id), ["001", "002", "003"]);
  const [, again] = await run(directory, "upgrade");
  const nothing = {
    applied: [],
    adopted: [],
    reconciled: [],
    snapshot: null,
    lost: [],
    failed: null,
  };
  assert.deepEqual(again, { ok: true, ...nothing });
});

Deno.test("a failed upgrade reports what was applied in the same form, and the failure", async () => {
  using directory = new TemporaryDirectory();
  execute(directory.file("trading.db"), "CREATE VIEW v_recent_orders AS SELECT 1");
  const [code, document] = await run(directory, "upgrade");
  assert.deepEqual([code, document["ok"]], [1, false]);
  assert.deepEqual((document["applied"] as Json[]).map(({ id }) => id), ["001"]);
  const { id, error } = document["failed"] as Json;
  assert.equal(id, "002");
  assert.deepEqual(document["error"], error);
});

Deno.test("downgrade and redo report losses", async () => {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  fillBot(directory, 3);
  const [refused, error] = await run(directory, "downgrade");
  assert.equal(refused, 1);
  assert.equal((error["error"] as Json)["code"], "NOT_CONFIRMED");
  const [, redo] = await run(directory, "redo", "--dry-run");
  assert.deepEqual(redo["redo"], ["003"]);
  assert.equal((await run(directory, "redo"))[0], 0);
  await run(directory, "downgrade", "--dry-run");
  const [code, document] = await run(directory, "downgrade", "--to", "001", "--yes");
  assert.equal(code, 0);
  const { snapshot, ...rest } = document;
  assert.match(String(snapshot), /^\d{8}_\d{6}$/);
  assert.deepEqual(rest, {
    ok: true,
    rolledBack: ["003", "002"],
    lost: [
      { database: "trading", table: "orders", rows: 3 },
      { database: "trading", table: "fills", rows: 3 },
      { database: "trading", table: "portfolio_snapshots", rows: 3 },
    ],
    failed: null,
  });
});

Deno.test("a failed downgrade reports what was rolled back, and the failure", async () => {
  using directory = new TemporaryDirectory();
  const up = "-- database: trading\n-- migrate:up\nSELECT 1;\n-- migrate:down\n";
  write(directory, "004_a", `${up}DROP TABLE none;`);
  write(directory, "005_b", `${up}SELECT 1;`);
  await run(directory, "upgrade");
  const [code, document] = await run(directory, "downgrade", "--to", "003");
  assert.equal(code, 1);
  assert.deepEqual(document["rolledBack"], ["005"]);
  assert.equal((document["failed"] as Json)["id"], "004");
});

Deno.test("status, history, verify, repair, doctor and schema report the state", async () => {
  using directory = new TemporaryDirectory();
  const [, nothing] = await run(directory, "history");
  assert.deepEqual(nothing, { ok: true, events: [] });
  await createBot(directory);
  const [code, status] = await run(directory, "status");
  assert.deepEqual([code, status["ok"], status["pending"]], [0, true, 0]);
  const [, { events }] = await run(directory, "history", "--limit", "2");
  assert.equal((events as Json[]).length, 2);
  await run(directory, "schema");
  Deno.writeTextFileSync(directory.file("schema.sql"), "");
  await run(directory, "schema", "trading", "--check", directory.file("schema.sql"));
  execute(directory.file("trading.db"), "DROP INDEX idx_orders_ticker; CREATE TABLE mine (a)");
  await run(directory, "doctor");
  const [found, { databases }] = await run(directory, "verify", "--data", "--hash");
  assert.equal(found, 1);
  const [, { problems, notices }] = databases as [Json, Json];
  assert.equal((problems as Json[]).length, 1);
  assert.equal((notices as Json[]).length, 1);
  const [, plan] = await run(directory, "repair", "--dry-run");
  const [repaired, document] = await run(directory, "repair");
  assert.equal(repaired, 0);
  assert.deepEqual({ ...plan, dryRun: false }, document);
});

Deno.test("migrations of the user's own", async () => {
  using directory = new TemporaryDirectory();
  Deno.mkdirSync(directory.file("own"));
  const [, created] = await run(directory, "new", "add notes", "--database", "trading");
  assert.equal(created["id"], "004");
  Deno.removeSync(String(created["path"]));
  await createBot(directory);
  fillBot(directory, 2);
  const up = "-- database: trading\n-- migrate:up\n";
  write(
    directory,
    "004_add_notes",
    `${up}CREATE TABLE notes (a);\n-- migrate:down\nDROP TABLE notes;`,
  );
  await run(directory, "lint");
  await run(directory, "rehearse");
  execute(directory.file("trading.db"), "CREATE TABLE notes (a)");
  await run(directory, "baseline", "--to", "004", "--dry-run");
  const [, { marked }] = await run(directory, "baseline", "--to", "004");
  assert.deepEqual(marked, ["004"]);
  write(
    directory,
    "004_add_notes",
    `${up}CREATE TABLE notes (a TEXT);\n-- migrate:down\nDROP TABLE notes;`,
  );
  await run(directory, "repair", "--accept-changed", "004");
  write(directory, "005_more", `${up}CREATE TABLE more (a);\n-- migrate:down\nDROP TABLE more;`);
  await run(directory, "upgrade");
  await run(directory, "squash", "--to", "005", "--out", directory.file("squashed"));
});

Deno.test("snapshots, dumps and rows", async () => {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  fillBot(directory, 2);
  const [, { snapshot }] = await run(directory, "backup");
  const { name } = snapshot as { name: string };
  await run(directory, "backup", "--if-older-than", "24h");
  await run(directory, "backup", "list");
  await run(directory, "copy", "trading", directory.file("copy.db"));
  await run(directory, "backup", "verify", name);
  const [, plan] = await run(directory, "restore", name, "--dry-run");
  assert.equal(plan["snapshot"], name);
  assert.equal((await run(directory, "restore", name, "--yes"))[0], 0);
  await run(directory, "backup", "prune", "--keep", "1", "--dry-run");
  const dump = directory.file("trading.sql");
  await run(directory, "export", "trading", "--out", dump);
  const [, imported] = await run(directory, "import", dump, "--database", "trading", "--yes");
  assert.equal(imported["outcome"], "replaced");
  const rows = directory.file("rows.csv");
  Deno.writeTextFileSync(
    rows,
    "snapshot_date,snapshot_time,total_equity,cash_balance,net_liquidation_value\n2030-01-01,9,1,1,1\n",
  );
  const table = ["--database", "trading", "--table", "portfolio_snapshots"];
  const [, { rows: count }] = await run(directory, "import", rows, ...table);
  assert.equal(count, 1);
});

Deno.test("init and adopt", async () => {
  using directory = new TemporaryDirectory();
  Deno.mkdirSync(directory.file("own"));
  execute(directory.file("notes.db"), "CREATE TABLE notes (a)");
  const configuration = ["--config", directory.file("catalyst.json")];
  const [, { databases }] = await run(directory, "init", "--yes", ...configuration);
  assert.deepEqual((databases as Json[]).map(({ name }) => name), ["notes"]);
  const [, adopted] = await run(directory, "adopt", "notes", ...configuration);
  assert.equal(adopted["name"], "004_adopt_notes");
});

Deno.test("demo, query and report", async () => {
  using directory = new TemporaryDirectory();
  await run(directory, "demo");
  await run(directory, "query");
  await run(directory, "query", "open-positions");
  const all =
    "SELECT NULL AS a, 1.5 AS b, 'x' AS c, x'00ff' AS d, 9007199254740993 AS e, 9e999 AS f";
  const [, { rows }] = await run(directory, "query", "trading", all);
  assert.deepEqual(rows, [
    { a: null, b: 1.5, c: "x", d: { hex: "00FF" }, e: "9007199254740993", f: null },
  ]);
  await run(directory, "query", "trading", all, "--out", directory.file("rows.csv"));
  const [, { equity }] = await run(directory, "report");
  assert(equity !== null);
  await run(directory, "report", "--html", directory.file("report.html"));
});

Deno.test("several data directories have one document each", async () => {
  using directory = new TemporaryDirectory();
  for (const command of ["upgrade", "status", "verify", "history", "backup", "doctor"]) {
    const places = ["--data-dir", directory.file("a"), "--data-dir", directory.file("b")];
    const args = [command, "--json", ...places];
    const { code, stdout } = await runCommandLine(args);
    for (const form of await checkDocument(args, stdout)) seen.add(form);
    assert.equal(code, 0);
    assert.equal(JSON.parse(stdout).length, 2);
  }
});

Deno.test("help in each of its forms, --version, the manual page and a completion script", async () => {
  using directory = new TemporaryDirectory();
  const helps = [["--help"], ["help"], ["help", "backup", "list"], ["status", "--help"]];
  for (const form of helps) {
    const [code, document] = await run(directory, ...form);
    assert.equal(code, 0);
    assert.match(String(document["help"]), /^Usage: catalyst-migrate /m);
  }
  await run(directory, "--version");
  await run(directory, "man");
  await run(directory, "completion", "bash");
});

Deno.test("every form of every document in docs/json has been printed above", async () => {
  const all: string[] = [];
  for (const { name } of Deno.readDirSync(schemas)) {
    const { anyOf } = JSON.parse(await Deno.readTextFile(new URL(name, schemas)));
    // The last two forms are the same for all commands.
    for (const at of anyOf.slice(0, -2).keys()) all.push(`${name.replace(".json", "")} ${at}`);
  }
  assert.deepEqual(all.filter((form) => !seen.has(form)), []);
});

Deno.test("a document that does not fit its JSON Schema is found", async () => {
  const version = ["--version", "--json"];
  const { stdout } = await runCommandLine(version);
  const document = JSON.parse(stdout);
  await assert.rejects(checkDocument(version, JSON.stringify({ ...document, more: 1 })));
  await assert.rejects(checkDocument(version, JSON.stringify({ ...document, deno: undefined })));
  await assert.rejects(checkDocument(["status", "--json"], stdout));
});

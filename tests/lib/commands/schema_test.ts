import assert from "node:assert/strict";
import { makeEarlierSystem } from "../../earlier_system.ts";
import {
  type CommandResult,
  createBot,
  execute,
  query,
  runCommandLine,
  startWriter,
  TemporaryDirectory,
} from "../support.ts";
import { outputOf } from "../../helpers.ts";

async function schema(directory: TemporaryDirectory, ...args: string[]): Promise<CommandResult> {
  return await runCommandLine(["schema", ...args, "--data-dir", directory.path]);
}

Deno.test("schema prints SQL that creates the same schema, and changes nothing", async () => {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  const before = directory.listing();
  const { code, stdout, stderr } = await schema(directory, "trading");
  assert.deepEqual([code, stderr], [0, ""]);
  assert.match(stdout, /^CREATE TABLE fills \(\n {2}fill_id TEXT PRIMARY KEY,\n/);
  assert.doesNotMatch(stdout, /catalyst_migrations|sqlite_|database:/);
  assert.deepEqual(directory.listing(), before);
  using other = new TemporaryDirectory();
  execute(other.file("trading.db"), stdout);
  assert.equal((await schema(other, "trading")).stdout, stdout);
});

Deno.test("schema of all databases has each under a heading", async () => {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  const { code, stdout } = await schema(directory);
  assert.equal(code, 0);
  assert.deepEqual(
    stdout.split("\n").filter((line) => line.startsWith("--")),
    ["-- database: positions", "-- database: trading", "-- database: ml_training"],
  );
  const [, , part = ""] = stdout.split(/^-- database: .*\n/m);
  assert.equal(part, `${(await schema(directory, "trading")).stdout}\n`);
});

Deno.test("a migrated, an adopted, a restored and a loaded database have one text", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await createBot(directory);
  const { sql } = await migrator.describeSchema("trading");
  const { name } = await migrator.createSnapshot();
  execute(directory.file("trading.db"), "DROP VIEW v_equity_curve");
  assert.notEqual((await migrator.describeSchema("trading")).sql, sql);
  await migrator.restoreSnapshot(name, { confirm: () => true });
  assert.equal((await migrator.describeSchema("trading")).sql, sql);
  using other = new TemporaryDirectory();
  execute(other.file("trading.db"), sql);
  const adopting = await createBot(other);
  assert.equal((await adopting.describeSchema("trading")).sql, sql);
});

Deno.test("adopting a database of the earlier version leaves its schema as it was", async () => {
  using directory = new TemporaryDirectory();
  makeEarlierSystem(directory.path);
  const before = await schema(directory, "positions");
  assert.equal(before.code, 0);
  assert.equal((await runCommandLine(["upgrade", "--data-dir", directory.path])).code, 0);
  assert.deepEqual(await schema(directory, "positions"), before);
});

Deno.test("--json and --format json give the same document", async () => {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  const { code, stdout } = await schema(directory, "positions", "--json");
  assert.equal(code, 0);
  assert.equal((await schema(directory, "positions", "--format", "json")).stdout, stdout);
  assert.equal((await schema(directory, "positions", "--format=json", "--json")).stdout, stdout);
  const { ok, databases } = JSON.parse(stdout);
  assert.equal(ok, true);
  assert.deepEqual(Object.keys(databases), ["positions"]);
  const { tables, indexes, views, triggers } = databases.positions;
  const names = (list: { name: string }[]) => list.map((one) => one.name);
  assert.deepEqual(names(tables), ["closed_positions", "positions"]);
  assert.deepEqual(names(indexes), names(indexes).toSorted());
  assert.deepEqual(names(views), ["v_position_summary", "v_recent_closed_trades"]);
  assert.deepEqual(triggers, []);
});

Deno.test("--check accepts the file that schema wrote, with any line endings", async () => {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  const file = directory.file("schema.sql");
  const { stdout } = await schema(directory, "trading");
  for (
    const text of [stdout, stdout.replaceAll("\n", "\r\n"), stdout.trimEnd(), `\uFEFF${stdout}`]
  ) {
    Deno.writeTextFileSync(file, text);
    const { code, stdout, stderr } = await schema(directory, "trading", "--check", file);
    assert.deepEqual([code, stdout], [0, `${file} matches the schema of trading.\n`], stderr);
  }
  // As Windows PowerShell writes it.
  Deno.writeFileSync(
    file,
    new Uint8Array(Uint16Array.from(`\uFEFF${stdout}`, (c) => c.charCodeAt(0)).buffer),
  );
  assert.equal((await schema(directory, "trading", "--check", file)).code, 0);
  Deno.writeTextFileSync(file, (await schema(directory, "--format", "json")).stdout);
  assert.equal((await schema(directory, "--check", file, "--format", "json")).code, 0);
  const { stdout: document } = await schema(directory, "--check", file, "--format=json", "--json");
  assert.deepEqual(JSON.parse(document), { ok: true, file, diff: "" });
});

Deno.test("--check shows how a schema differs from the file, and exits with 1", async () => {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  const file = directory.file("schema.sql");
  Deno.writeTextFileSync(file, (await schema(directory, "trading")).stdout);
  execute(directory.file("trading.db"), "ALTER TABLE fills ADD COLUMN venue TEXT");
  const { code, stdout, stderr } = await schema(directory, "trading", "--check", file);
  assert.equal(code, 1);
  assert.match(stdout, /^--- .*schema\.sql\n\+\+\+ trading\n@@ .* @@\n/);
  assert.deepEqual(
    stdout.split("\n").filter((line) => /^[-+] /.test(line)),
    [
      "-  metadata TEXT,",
      "+  metadata TEXT,",
      "+  venue TEXT,",
    ].slice(2),
  );
  assert.match(stderr, /differs from the schema of trading; `catalyst-migrate schema trading > /);
  const json = await schema(directory, "trading", "--check", file, "--json");
  assert.equal(json.code, 1);
  assert.deepEqual(JSON.parse(json.stdout), { ok: false, file, diff: stdout.trimEnd() });
});

Deno.test("diagrams, pages and types are printed, and --check compares them with a file", async () => {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  const beginnings = {
    mermaid: /^erDiagram\n {2}"fills" \{\n[^]*"the broker's id"/,
    markdown: /^# trading\n[^]*\n\| `order_id` \| .* \| the broker's id \|\n/,
    typescript: /^\/\/ Generated by `catalyst-migrate schema trading --format typescript`/,
    python: /^# Generated by `catalyst-migrate schema trading --format python`/,
  };
  const files = new Map<string, string>();
  for (const [format, beginning] of Object.entries(beginnings)) {
    const { code, stdout } = await schema(directory, "trading", "--format", format);
    assert.equal(code, 0);
    assert.match(stdout, beginning);
    assert.match((await schema(directory, "--format", format)).stdout, /training_?runs/i);
    const file = directory.file(`schema.${format}`);
    Deno.writeTextFileSync(file, stdout);
    files.set(format, file);
    assert.equal((await schema(directory, "trading", "--format", format, "--json")).code, 2);
  }
  const check = async (format: string, file: string): Promise<CommandResult> =>
    await schema(directory, "trading", "--format", format, "--check", file);
  for (const [format, file] of files) {
    assert.equal((await check(format, file)).stdout, `${file} matches the schema of trading.\n`);
  }
  execute(directory.file("trading.db"), "ALTER TABLE fills ADD COLUMN venue TEXT");
  for (const [format, file] of files) {
    const { code, stdout, stderr } = await check(format, file);
    assert.equal(code, 1);
    assert.match(stdout, /^\+.*venue/m);
    assert(stderr.includes(`\`catalyst-migrate schema trading --format ${format} > ${file}\``));
  }
});

Deno.test("a schema that can't be described or compared is reported with the next step", async () => {
  using directory = new TemporaryDirectory();
  const missing = await schema(directory, "trading");
  assert.deepEqual([missing.code, missing.stdout], [1, ""]);
  assert.match(missing.stderr, /^error: Cannot describe trading: there is no file .*trading\.db\n/);
  assert.match(missing.stderr, /\nhelp: `catalyst-migrate upgrade` creates it\n$/);
  await createBot(directory);
  Deno.removeSync(directory.file("ml_training.db"));
  const one = await schema(directory);
  assert.deepEqual([one.code, one.stdout], [1, ""]);
  assert.match(one.stderr, /^error: Cannot describe ml_training: /);

  const unknown = await schema(directory, "tradin");
  assert.equal(unknown.code, 2);
  assert.match(unknown.stderr, /help: did you mean "trading"\? the databases are positions, /);
  assert.equal((await schema(directory, "trading", "positions")).code, 2);
  assert.equal((await schema(directory, "trading", "--format", "xml")).code, 2);
  assert.equal((await schema(directory, "trading", "--format", "sql", "--json")).code, 2);

  const file = directory.file("none.sql");
  const noFile = await schema(directory, "trading", "--check", file);
  assert.equal(noFile.code, 1);
  assert.match(noFile.stderr, /: file not found\nhelp: `catalyst-migrate schema trading > /);
  assert.equal((await schema(directory, "trading", "--check", directory.path)).code, 1);
});

Deno.test("a damaged file, or one that is not a database, is reported", async () => {
  using directory = new TemporaryDirectory();
  Deno.writeTextFileSync(directory.file("trading.db"), "no database ".repeat(100));
  const { code, stderr } = await schema(directory, "trading");
  assert.equal(code, 1);
  assert.match(stderr, /^error: Cannot use .*trading\.db: .*\nhelp: /);
});

Deno.test("a database without tables has an empty schema", async () => {
  using directory = new TemporaryDirectory();
  execute(directory.file("trading.db"), "PRAGMA user_version = 1");
  const { code, stdout, stderr } = await schema(directory, "trading");
  assert.deepEqual([code, stdout], [0, ""]);
  assert.equal(stderr, "trading has no tables yet; `upgrade` creates them.\n");
});

Deno.test("uncommitted changes of another connection are not visible", async () => {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  const before = await schema(directory, "trading");
  await using writer = await startWriter(directory.file("trading.db"), "CREATE TABLE extra (a)");
  assert.deepEqual(await schema(directory, "trading"), before);
  await writer.release();
  assert.match((await schema(directory, "trading")).stdout, /^CREATE TABLE extra/);
});

Deno.test("text with a control character is unchanged in a file", async () => {
  using directory = new TemporaryDirectory();
  const sql = "CREATE TABLE t (a DEFAULT '\x1b[2J\u202e')";
  execute(directory.file("trading.db"), sql);
  const { stdout } = await schema(directory, "trading");
  assert.equal(stdout, "CREATE TABLE t (\n  a DEFAULT '\x1b[2J\u202e'\n);\n");
  const json = await schema(directory, "trading", "--format", "json");
  assert(!json.stdout.includes("\u202e"));
  assert.equal(
    JSON.parse(json.stdout).databases.trading.tables[0].columns[0].default,
    "'\x1b[2J\u202e'",
  );
});

Deno.test({
  name: "the text is the same after the sqlite3 shell has dumped and loaded the database",
  ignore: !hasShell(),
  fn: async () => {
    using directory = new TemporaryDirectory();
    await createBot(directory);
    execute(
      directory.file("trading.db"),
      `CREATE VIRTUAL TABLE notes USING fts5(title, body);
      CREATE TABLE "odd name" ("a b" TEXT, [key] INT) STRICT;
      ALTER TABLE "odd name" RENAME TO odd;`,
    );
    const { stdout } = await schema(directory, "trading");
    const dump = await shell([directory.file("trading.db"), ".dump"]);
    Deno.mkdirSync(directory.file("loaded"));
    const loaded = directory.file("loaded/trading.db");
    await shell([loaded], dump);
    const { stdout: again } = await runCommandLine(
      ["schema", "trading", "--data-dir", directory.file("loaded")],
    );
    assert.equal(again, stdout);
    // The shell itself creates the same schema from the text, too.
    await shell([directory.file("own.db")], stdout);
    const names = (path: string) =>
      query(
        path,
        "SELECT name FROM sqlite_schema WHERE name NOT GLOB 'sqlite_*' AND name <> 'catalyst_migrations' ORDER BY name",
      );
    assert.deepEqual(names(directory.file("own.db")), names(loaded));
  },
});

function hasShell(): boolean {
  try {
    return new Deno.Command("sqlite3", { args: ["--version"] }).outputSync().success;
  } catch {
    return false;
  }
}

async function shell(args: readonly string[], input = ""): Promise<string> {
  const child = new Deno.Command("sqlite3", {
    args: ["-bail", ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  await new Blob([input]).stream().pipeTo(child.stdin);
  const { code, stdout, stderr } = await outputOf(child);
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

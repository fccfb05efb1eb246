import assert from "node:assert/strict";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { contentOf } from "../dump/content.ts";
import { runShell, shellVersion } from "../dump/shell.ts";
import {
  type CommandResult,
  createBot,
  execute,
  fillBot,
  query,
  runCommandLine,
  TemporaryDirectory,
} from "../support.ts";

/** Runs a command in a directory whose databases are in `data`. */
async function run(cwd: string, ...args: string[]): Promise<CommandResult> {
  return await runCommandLine([...args, "--data-dir", "."], { cwd });
}

async function makeBot(): Promise<TemporaryDirectory> {
  const directory = new TemporaryDirectory();
  await createBot(directory);
  fillBot(directory, 20);
  return directory;
}

Deno.test("export writes a database to stdout, which import and the shell load", async () => {
  using directory = await makeBot();
  const before = directory.listing();
  const { code, stdout, stderr } = await run(directory.path, "export", "trading");
  assert.deepEqual([code, stderr], [0, ""]);
  assert.deepEqual(directory.listing(), before);
  assert.match(
    stdout,
    /^PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n-- catalyst-migrate dump of trading; format 1\n/,
  );
  using other = new TemporaryDirectory();
  Deno.writeTextFileSync(other.file("dump.sql"), stdout);
  const imported = await run(other.path, "import", "dump.sql", "--database", "trading");
  assert.equal(imported.code, 0, imported.stderr);
  const original = contentOf(directory.file("trading.db"));
  assert.deepEqual(contentOf(other.file("trading.db")), original);
  if (shellVersion === null) return;
  await runShell(other.file("shell.db"), stdout);
  assert.deepEqual(contentOf(other.file("shell.db")), original);
});

Deno.test("--out writes a file and prints its size; .gz and --compress compress it", async () => {
  using directory = await makeBot();
  const { stdout: dump } = await run(directory.path, "export", "trading");
  const size = new TextEncoder().encode(dump).length;
  const plain = await run(directory.path, "export", "trading", "--out", "a.sql", "--json");
  assert.deepEqual(JSON.parse(plain.stdout), { ok: true, files: [{ file: "a.sql", size }] });
  assert.equal(Deno.readTextFileSync(directory.file("a.sql")), dump);
  const text = await run(directory.path, "export", "trading", "--out", "b.sql.gz");
  assert.match(text.stdout, /^b\.sql\.gz +\d/);
  await run(directory.path, "export", "trading", "--out", "c.sql", "--compress");
  for (const name of ["b.sql.gz", "c.sql"]) {
    assert.equal(
      new TextDecoder().decode(gunzipSync(Deno.readFileSync(directory.file(name)))),
      dump,
    );
  }
  const args = ["export", "trading", "--out", "a.sql"];
  assert.match((await run(directory.path, ...args)).stderr, /a\.sql: it already exists/);
  const again = await run(directory.path, ...args, "--force");
  assert.equal(again.code, 0, "an existing file is replaced");
});

Deno.test("--all writes every database into a directory, which it creates", async () => {
  using directory = await makeBot();
  const args = ["export", "--all", "--out", "dumps/", "--compress", "--json"];
  const { code, stdout, stderr } = await run(directory.path, ...args);
  assert.equal(code, 0, stderr);
  const files = JSON.parse(stdout).files.map(({ file }: { file: string }) => file);
  assert.deepEqual(files, [
    "dumps/positions.sql.gz",
    "dumps/trading.sql.gz",
    "dumps/ml_training.sql.gz",
  ]);
  using other = new TemporaryDirectory();
  for (const name of ["positions", "trading", "ml_training"]) {
    const file = directory.file(`dumps/${name}.sql.gz`);
    const { code, stderr } = await run(other.path, "import", file, "--database", name);
    assert.equal(code, 0, stderr);
    assert.deepEqual(contentOf(other.file(`${name}.db`)), contentOf(directory.file(`${name}.db`)));
  }
});

Deno.test("--table, --schema-only and --data-only write a part", async () => {
  using directory = await makeBot();
  const tables = async (...args: string[]) => {
    const { code, stdout, stderr } = await run(directory.path, "export", "trading", ...args);
    assert.equal(code, 0, stderr);
    const found = (pattern: RegExp) => [...stdout.matchAll(pattern)].map(([, name]) => name);
    return [found(/^CREATE TABLE "?(\w+)/gm), found(/^INSERT INTO "(\w+)"/gm)];
  };
  const some = ["--table", "fills", "--table", "orders"];
  assert.deepEqual(await tables(...some), [["orders", "fills"], ["orders", "fills"]]);
  assert.deepEqual(await tables(...some, "--schema-only"), [["orders", "fills"], []]);
  assert.deepEqual(await tables(...some, "--data-only"), [[], ["orders", "fills"]]);
});

Deno.test("csv and jsonl write one table to stdout, or every table into a directory", async () => {
  using directory = await makeBot();
  for (const format of ["csv", "jsonl"]) {
    const args = ["export", "trading", "--format", format];
    const { code, stdout, stderr } = await run(directory.path, ...args, "--table", "fills");
    assert.deepEqual([code, stderr], [0, ""]);
    assert.equal(stdout.split("\n").length, format === "csv" ? 22 : 21);
    assert.equal((await run(directory.path, ...args, "--out", "rows", "--compress")).code, 0);
    const file = directory.file(`rows/fills.${format}.gz`);
    assert.equal(new TextDecoder().decode(gunzipSync(Deno.readFileSync(file))), stdout);
    const names = [...Deno.readDirSync(directory.file("rows"))].map(({ name }) => name);
    assert(
      names.includes(`orders.${format}.gz`) && names.includes(`portfolio_snapshots.${format}.gz`),
    );
    assert(!names.some((name) => /catalyst_migrations|^v_/.test(name)));
    const one = await run(directory.path, ...args, "--table", "fills", "--out", `f.${format}`);
    assert.equal(one.code, 0);
    assert.equal(Deno.readTextFileSync(directory.file(`f.${format}`)), stdout);
    execute(directory.file("trading.db"), "CREATE TABLE copy AS SELECT * FROM fills WHERE 0");
    const back = ["import", `f.${format}`, "--database", "trading", "--table", "copy"];
    const imported = await run(directory.path, ...back);
    assert.equal(imported.code, 0, imported.stderr);
    const path = directory.file("trading.db");
    assert.deepEqual(query(path, "SELECT * FROM copy"), query(path, "SELECT * FROM fills"));
    execute(path, "DROP TABLE copy");
  }
});

Deno.test("a view can be exported as rows", async () => {
  using directory = await makeBot();
  const args = ["export", "trading", "--format", "jsonl", "--table", "v_equity_curve"];
  const { code, stdout } = await run(directory.path, ...args);
  assert.equal(code, 0);
  assert.equal(stdout.trim().split("\n").length, 20);
});

Deno.test("tables of any name get separate files inside the directory", async () => {
  using directory = await makeBot();
  const names = [
    "../up",
    "a/b",
    "..",
    ".",
    ".hidden",
    "a b",
    "50%",
    "é",
    'say "x"',
    "a\\b",
    "a\nb",
  ];
  for (const name of names) {
    execute(
      directory.file("trading.db"),
      `CREATE TABLE "${name.replaceAll('"', '""')}" (a); INSERT INTO "${
        name.replaceAll('"', '""')
      }" VALUES ('${name}')`,
    );
  }
  const args = ["export", "trading", "--format", "jsonl", "--out", "rows"];
  const { code, stderr } = await run(directory.path, ...args);
  assert.equal(code, 0, stderr);
  assert.deepEqual(directory.names().filter((name) => !/\.db$|lock/.test(name)), ["rows"]);
  const rows = directory.file("rows");
  const values = [...Deno.readDirSync(rows)]
    .map(({ name }) => Deno.readTextFileSync(join(rows, name)).trim())
    .filter((line) => line.startsWith('{"a":'));
  assert.deepEqual(
    values.toSorted(),
    names.map((name) => JSON.stringify({ a: name })).toSorted(),
  );
});

Deno.test("an invalid combination of flags is reported before anything is read", async () => {
  using directory = new TemporaryDirectory();
  const cases: Readonly<Record<string, RegExp>> = {
    "export": /name a database: positions, trading, ml_training/,
    "export trading positions": /name one database/,
    "export trading --all --out x": /contradict each other/,
    "export --all": /--out DIR/,
    "export --all --out x --table orders": /--table needs a database/,
    "export trading --format xml": /expected sql, csv or jsonl/,
    "export trading --format csv": /--out DIR/,
    "export trading --format csv --table a --table b": /--out DIR/,
    "export trading --format csv --table a --schema-only": /csv has only rows/,
    "export trading --format jsonl --out x --data-only": /jsonl has only rows/,
    "export trading --schema-only --data-only": /--schema-only/,
    "export trading --json": /--json needs --out/,
    "export trading --out= --json": /--out is empty/,
    "export nowhere": /nowhere/,
  };
  for (const [line, message] of Object.entries(cases)) {
    const { code, stdout, stderr } = await run(directory.path, ...line.split(" "));
    assert.equal(code, 2, `${line}: ${stderr}`);
    assert.match(`${stdout}${stderr}`, message, line);
    assert.deepEqual(directory.names(), []);
  }
});

Deno.test("export and import warn of rows that violate a CHECK", async () => {
  using directory = await makeBot();
  execute(
    directory.file("trading.db"),
    "PRAGMA ignore_check_constraints = ON; UPDATE orders SET side = 'hold' WHERE rowid = 1",
  );
  const counted = "1 row of orders violates a CHECK constraint";
  const { code, stdout, stderr } = await run(directory.path, "export", "trading");
  assert.equal(code, 0);
  assert.match(stderr, new RegExp(`^warning: ${counted}; \`import\` and the sqlite3 shell take `));
  const csv = await run(directory.path, "export", "trading", "--table=orders", "--format=csv");
  assert.match(csv.stderr, new RegExp(`^warning: ${counted}; \`import\` will refuse `));
  const schema = await run(directory.path, "export", "trading", "--schema-only");
  assert.equal(schema.stderr, "");
  assert.doesNotMatch(schema.stdout, /ignore_check/);
  const data = await run(directory.path, "export", "trading", "--data-only");
  assert.match(data.stderr, /`import` will refuse /);
  Deno.writeTextFileSync(directory.file("dump.sql"), stdout);
  const before = contentOf(directory.file("trading.db"));
  const imported = await run(
    directory.path,
    ...["import", "dump.sql", "--database", "trading", "--yes"],
  );
  assert.equal(imported.code, 0, imported.stderr);
  assert.match(imported.stderr, new RegExp(`^warning: ${counted}, as in the dump$`, "m"));
  assert.deepEqual(contentOf(directory.file("trading.db")), before);
  if (shellVersion === null) return;
  await runShell(directory.file("shell.db"), stdout);
  assert.deepEqual(contentOf(directory.file("shell.db")), before);
});

Deno.test("an export of tables writes none if a file of one exists or its name is too long", async () => {
  using directory = await makeBot();
  const out = (...args: string[]) =>
    run(directory.path, "export", "trading", "--out", "rows", ...args);
  Deno.mkdirSync(directory.file("rows"));
  Deno.writeTextFileSync(directory.file("rows/fills.csv"), "mine");
  const taken = await out("--format", "csv");
  assert.equal(taken.code, 1);
  assert.match(taken.stderr, /^error: Cannot write rows\/fills\.csv: it already exists/);
  const name = "\u{1F4C8}".repeat(20) + "x".repeat(20); // each sign is written as %F0%9F%93%88
  execute(directory.file("trading.db"), `CREATE TABLE "${name}" (a)`);
  for (const format of ["csv", "jsonl"]) {
    const long = await out("--format", format, "--force");
    assert.equal(long.code, 1);
    assert.match(long.stderr, /^error: Cannot export table ".*: its name is too long for a file\n/);
  }
  assert.deepEqual(filesBelow(directory.file("rows")), ["fills.csv"]);
  const alone = await run(
    directory.path,
    ...["export", "trading", "--format", "csv", "--table", name, "--out", "long.csv"],
  );
  assert.equal(alone.code, 0, alone.stderr);
  const read = await run(
    directory.path,
    ...["import", "long.csv", "--database", "trading", "--table", name],
  );
  assert.equal(read.code, 0, read.stderr);
});

Deno.test("export --all writes no dump if the file of one exists", async () => {
  using directory = await makeBot();
  Deno.mkdirSync(directory.file("dumps"));
  Deno.writeTextFileSync(directory.file("dumps/trading.sql"), "mine");
  const { code, stderr } = await run(directory.path, "export", "--all", "--out", "dumps");
  assert.equal(code, 1);
  assert.match(stderr, /^error: Cannot write dumps\/trading\.sql: it already exists/);
  assert.deepEqual(filesBelow(directory.file("dumps")), ["trading.sql"]);
});

function filesBelow(path: string): string[] {
  return [...Deno.readDirSync(path)].map(({ name }) => name);
}

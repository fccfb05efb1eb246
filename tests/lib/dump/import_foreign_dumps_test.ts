/** Dumps from the `sqlite3` shell and Python's `iterdump`, with all features of SQLite. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { outputOf, type PlainRow, query } from "../../helpers.ts";
import { type App, leftovers, makeApp } from "./import_support.ts";

const SOURCE = `
PRAGMA page_size = 8192;
CREATE TABLE a (id INTEGER PRIMARY KEY AUTOINCREMENT, t TEXT, b BLOB, r REAL);
INSERT INTO a VALUES (9223372036854775806, 'it''s; -- x' || char(10) || 'y' || char(13), x'00ff', 9e999);
INSERT INTO a VALUES (5, 'é🙂', NULL, 1e-320), (-7, '/* ; */', zeroblob(300), 0.1);
CREATE TABLE "odd ""name;" ("col;umn" TEXT PRIMARY KEY, 'x y' INT AS (length("col;umn")) STORED) WITHOUT ROWID;
INSERT INTO "odd ""name;" VALUES ('k;');
CREATE TABLE strict_one (a INT, b ANY) STRICT;
INSERT INTO strict_one VALUES (1, x'01');
CREATE TABLE child (a INTEGER REFERENCES a DEFERRABLE);
CREATE INDEX i ON a (t COLLATE NOCASE DESC) WHERE t > ';';
CREATE VIEW v AS SELECT * FROM a WHERE t <> ';';
CREATE TRIGGER tr AFTER INSERT ON a WHEN new.t = ';'
BEGIN
  UPDATE a SET t = CASE WHEN 1 THEN 'x;' ELSE 'END;' END WHERE id = 0;
  SELECT 1;
END;
CREATE VIRTUAL TABLE words USING fts5(x, y);
INSERT INTO words VALUES ('hello world', 'b');
CREATE VIRTUAL TABLE old_words USING fts4(x);
INSERT INTO old_words VALUES ('good day');
CREATE VIRTUAL TABLE boxes USING rtree(id, a, b);
INSERT INTO boxes VALUES (1, 0, 1);
ANALYZE;
PRAGMA user_version = 3;
`;

/** Version of a required program; null if it is missing. */
function versionOf(program: string, args: readonly string[]): string | null {
  try {
    const { success, stdout } = new Deno.Command(program, { args: [...args] }).outputSync();
    return success ? new TextDecoder().decode(stdout).trim() : null;
  } catch {
    return null;
  }
}

const shell = versionOf("sqlite3", ["--version"]);
const python = versionOf("python3", ["-c", "import sqlite3; print(sqlite3.sqlite_version)"]);

/** Creates the source database with the shell or with Python. */
async function run(program: string, args: readonly string[], input = ""): Promise<string> {
  const child = new Deno.Command(program, {
    args: [...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  const writing = writer.write(new TextEncoder().encode(input)).then(() => writer.close());
  const { success, stdout, stderr } = await outputOf(child);
  await writing;
  assert.ok(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** The content of a database, independent of the order of its schema. */
function everythingIn(path: string): unknown {
  const objects = query(
    path,
    `SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name`,
  );
  const tables = objects.filter(({ type }) => type === "table").map(({ name }) => String(name));
  const rows: Record<string, readonly PlainRow[]> = {};
  for (const table of [...tables, "sqlite_sequence", "sqlite_stat1"]) {
    const quoted = table.replaceAll('"', '""');
    const columns = query(
      path,
      `SELECT name FROM pragma_table_info('${table.replaceAll("'", "''")}')`,
    )
      .map(({ name }) => `quote("${String(name).replaceAll('"', '""')}")`).join(" || ',' || ");
    rows[table] = query(path, `SELECT ${columns} AS "row" FROM "${quoted}" ORDER BY 1`);
  }
  return { objects: objects.map((one) => ({ ...one, sql: plainSql(String(one["sql"])) })), rows };
}

/** Dumps write the shadow tables of virtual tables with IF NOT EXISTS. */
function plainSql(sql: string): string {
  return sql.replace("CREATE TABLE IF NOT EXISTS ", "CREATE TABLE ");
}

async function checkVirtualTables(app: App): Promise<void> {
  assert.deepEqual(app.query("SELECT y FROM words WHERE words MATCH 'hello'"), [{ y: "b" }]);
  assert.equal(app.query("SELECT * FROM old_words WHERE old_words MATCH 'day'").length, 1);
  assert.deepEqual(app.query("SELECT id FROM boxes WHERE a < 0.5"), [{ id: 1 }]);
  assert.deepEqual(app.query("PRAGMA integrity_check"), [{ integrity_check: "ok" }]);
  assert.deepEqual(leftovers(app.directory), []);
  assert.equal((await app.migrator.verify()).databases.length, 1);
}

const noShell = shell === null ? " (skipped: there is no sqlite3 shell)" : "";

Deno.test({
  name:
    `a dump by the sqlite3 shell makes the same database, which dumps to the same text${noShell}`,
  ignore: shell === null,
  async fn() {
    await using app = await makeApp();
    const source = join(app.directory, "source.db");
    await run("sqlite3", [source], SOURCE);
    const dump = await run("sqlite3", [source, ".dump"]);
    await app.import(dump);
    assert.deepEqual(everythingIn(app.path), everythingIn(source));
    await checkVirtualTables(app);
    const lines = (text: string) => new Set(text.split("\n"));
    const again = await run("sqlite3", [app.path, ".dump"]);
    // Virtual tables are at the end of the new schema, and ANALYZE of another version may keep more
    // tables of statistics, so only the order and the number of such lines may differ.
    assert.deepEqual(lines(again), lines(dump));
  },
});

Deno.test({
  name:
    `what the shell says of a damaged database is refused: ROLLBACK; -- due to errors${noShell}`,
  ignore: shell === null,
  async fn() {
    await using app = await makeApp();
    const source = join(app.directory, "source.db");
    await run("sqlite3", [source], "CREATE TABLE t (a); INSERT INTO t VALUES (zeroblob(100000));");
    const bytes = await Deno.readFile(source);
    await Deno.writeFile(source, bytes.subarray(0, 4096 * 8).fill(0x5a, 4096, 4200));
    const { stdout } = await new Deno.Command("sqlite3", { args: [source, ".dump"] }).output();
    const dump = new TextDecoder().decode(stdout);
    assert.match(dump, /ROLLBACK; -- due to errors/);
    assert.match((await app.refuse(dump)).message, /ROLLBACK, .*damaged database.*incomplete/);
  },
});

Deno.test({
  name: `a dump from Python's iterdump gives the same database${
    python === null ? " (skipped: there is no python3)" : noShell
  }`,
  ignore: python === null || shell === null,
  async fn() {
    await using app = await makeApp();
    const source = join(app.directory, "source.db");
    await run("sqlite3", [source], SOURCE);
    const script = "import sqlite3, sys\n" +
      "sys.stdout.reconfigure(newline='\\n', encoding='utf-8')\n" +
      "for line in sqlite3.connect(sys.argv[1]).iterdump(): print(line)";
    // iterdump can't write generated columns, nor, with an older SQLite, Infinity.
    const fitting = 'DROP TABLE "odd ""name;"; UPDATE a SET r = 1e308 WHERE r > 1e308;';
    await run("sqlite3", [source], fitting);
    const iterdump = () => run("python3", ["-c", script, source]);
    // Before 3.11.4 Python wrote virtual tables in a way that no SQLite loads.
    const isOld = /^CREATE VIRTUAL TABLE/m.test(await iterdump());
    if (isOld) {
      await run("sqlite3", [source], "DROP TABLE words; DROP TABLE old_words; DROP TABLE boxes;");
    }
    await app.import(await iterdump());
    assert.deepEqual(everythingIn(app.path), everythingIn(source));
    if (!isOld) await checkVirtualTables(app);
  },
});

Deno.test("a dump with text in double quotes, as older versions of SQLite allowed, is loaded and usable", async () => {
  await using app = await makeApp();
  await app.import(
    'CREATE TABLE trades (side TEXT DEFAULT "long" CHECK (side IN ("long", "short")), n INTEGER);\n' +
      'INSERT INTO trades (n) VALUES (1); INSERT INTO trades VALUES ("short", 2);\n' +
      'CREATE INDEX shorts ON trades (n) WHERE side = "short";\n',
  );
  assert.deepEqual(app.query("SELECT * FROM trades"), [{ side: "long", n: 1 }, {
    side: "short",
    n: 2,
  }]);
});

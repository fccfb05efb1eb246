import assert from "node:assert/strict";
import {
  AccessError,
  CatalystError,
  LocationError,
  MigrationFileError,
} from "../../../lib/base/errors.ts";
import {
  describeMisnamed,
  listMisnamed,
  type LoadMigrationsOptions,
  readMigrations,
} from "../../../lib/migration/loader.ts";
import { loadMigrations, openCatalystMigrator } from "../../../lib/catalyst.ts";
import { refuseSyntaxErrors } from "../../../lib/migration/syntax.ts";
import { TemporaryDirectory, withDatabase } from "../support.ts";

const SQL = "-- database: app\n-- migrate:up\nSELECT 1;\n";
const MODULE = `export default { database: "app", upgrade: "SELECT 1" };`;

/** Writes files into a directory. */
function write(directory: TemporaryDirectory, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    Deno.writeTextFileSync(directory.file(name), text);
  }
}

/** The error from reading a directory. */
async function failure(path: string, options?: LoadMigrationsOptions): Promise<CatalystError> {
  try {
    await readMigrations(path, options);
  } catch (error) {
    assert(error instanceof CatalystError, String(error));
    return error;
  }
  throw new assert.AssertionError({ message: "it was read" });
}

Deno.test("files of all kinds are ordered by number, with gaps and timestamps", async () => {
  using directory = new TemporaryDirectory();
  write(directory, {
    "20250120123000_later.sql": SQL,
    "10_ten.sql": SQL,
    "0009_nine.js": MODULE,
    "2_two.ts": MODULE,
    "101_more.sql": SQL,
  });
  const migrations = await readMigrations(directory.path);
  assert.deepEqual(migrations.map(({ id }) => id), ["2", "0009", "10", "101", "20250120123000"]);
  assert.deepEqual(migrations.map(({ name }) => name).slice(0, 2), ["2_two", "0009_nine"]);
  assert.equal(migrations[2]?.source?.path, directory.file("10_ten.sql"));
});

Deno.test("other files, subdirectories and known names are skipped, symbolic links are not", async () => {
  using directory = new TemporaryDirectory();
  write(directory, {
    "001_known.ts": "throw new Error('not to be read')",
    "004_real.sql": SQL,
    "README.md": "no migration",
    ".004_real.sql.swp": "\0",
    "004_real.sql~": "no migration",
    "005_types.d.ts": "no migration",
    "notes.sql": "no migration",
  });
  Deno.mkdirSync(directory.file("old"));
  Deno.symlinkSync(directory.file("004_real.sql"), directory.file("008_link.sql"));
  const migrations = await readMigrations(`${directory.path}/`, { except: ["001_known"] });
  assert.deepEqual(migrations.map(({ name }) => name), ["004_real", "008_link"]);
});

Deno.test("misnamed migrations are listed", () => {
  using directory = new TemporaryDirectory();
  const meant = [
    " 004_space.sql",
    "004 notes.sql",
    "004-notes.sql",
    "004.sql",
    "004_notes",
    "004_notes.mts",
    "004_notes.sql.txt",
    "004notes.sql",
    "V4__notes.sql",
    "notes.sql",
  ];
  for (const name of meant) Deno.writeTextFileSync(directory.file(name), SQL);
  write(directory, {
    "005_right.sql": SQL,
    "helpers.ts": "",
    "005_types.d.ts": "",
    "006_x.sql.bak": "",
    ".007_x.sql": "",
    "README.md": "",
  });
  Deno.mkdirSync(directory.file("notes2.sql"));
  assert.deepEqual(listMisnamed(directory.path), meant.toSorted());
  assert.match(
    describeMisnamed(directory.path) ?? "",
    /^ 004_space\.sql, .* and 7 more in .* are not/,
  );
});

Deno.test("a migration that is not a file is refused immediately", async () => {
  for (
    const [make, kind] of [
      [(path: string) => Deno.mkdirSync(path), "a directory"],
      [(path: string) => Deno.symlinkSync("/", path), "a directory"],
      ...Deno.build.os === "windows" ? [] : [
        [(path: string) => new Deno.Command("mkfifo", { args: [path] }).outputSync(), "a pipe"],
        [(path: string) => Deno.symlinkSync("/dev/zero", path), "a device"],
      ] as const,
    ] as const
  ) {
    for (const name of ["006_x.sql", "006_x.ts"]) {
      using directory = new TemporaryDirectory();
      make(directory.file(name));
      const error = await failure(directory.path);
      assert(error instanceof MigrationFileError);
      assert.match(error.message, new RegExp(`006_x\\..*: it is ${kind}, not a file$`));
    }
  }
});

Deno.test("a file with CRLF gives the same migration as with LF", async () => {
  using directory = new TemporaryDirectory();
  const text = `${SQL}CREATE TABLE t (a DEFAULT 'one\ntwo');\n`;
  write(directory, { "004_x.sql": text, "005_x.sql": text.replaceAll("\n", "\r\n") });
  const [lf, crlf] = await readMigrations(directory.path);
  assert.equal(crlf?.upgrade, lf?.upgrade);
});

Deno.test("an empty directory has no migrations", async () => {
  using directory = new TemporaryDirectory();
  assert.deepEqual(await loadMigrations(directory.path), []);
});

Deno.test("for two files with the same number the error names both", async () => {
  using directory = new TemporaryDirectory();
  write(directory, { "004_one.sql": SQL, "4_other.ts": MODULE });
  const error = await failure(directory.path);
  assert(error instanceof MigrationFileError);
  assert.match(error.message, /004_one\.sql and .*4_other\.ts: they have the same number/);
});

Deno.test("a name with unusual characters is refused", async () => {
  using directory = new TemporaryDirectory();
  write(directory, { "004_add notes.sql": SQL });
  assert.match((await failure(directory.path)).message, /004_add notes\.sql: its name/);
  using other = new TemporaryDirectory();
  if (Deno.build.os !== "windows") write(other, { "004_a\nb.sql": SQL });
  if (Deno.build.os !== "windows") {
    assert.match((await failure(other.path)).message, /its name may contain/);
  }
});

Deno.test("a missing directory, a file in its place, and unreadable content are refused", async () => {
  using directory = new TemporaryDirectory();
  assert(await failure(directory.file("none")) instanceof LocationError);
  write(directory, { "file": "" });
  assert(await failure(directory.file("file")) instanceof LocationError);
  Deno.symlinkSync(directory.file("gone"), directory.file("004_gone.sql"), { type: "file" });
  const error = await failure(directory.path);
  assert(error instanceof AccessError);
  assert.match(error.message, /004_gone\.sql/);
});

Deno.test("invalid UTF-8 is refused with its position, U+FFFD itself is accepted", async () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("004_x.sql");
  const bytes = new TextEncoder().encode(`${SQL}SELECT 'ü?'; SELECT 2;\n`);
  Deno.writeFileSync(path, bytes.map((byte) => byte === 0x3f ? 0xe9 : byte));
  const error = await failure(directory.path);
  assert.equal(error.message, `Cannot use ${path}:4:10: it is not UTF-8 text (byte 0xe9)`);
  assert.match(error.help ?? "", /^save it as UTF-8\n4 \| .*\n {2}\| {10}\^$/);

  Deno.writeTextFileSync(path, `${SQL}SELECT '\uFFFD';`);
  assert.equal((await readMigrations(directory.path)).length, 1);

  Deno.writeTextFileSync(path, `${SQL}SELECT '\0';`);
  assert.match((await failure(directory.path)).message, /:4:9: it has a NUL character/);

  for (const bom of ["\uFEFF", ""]) {
    const units = Uint16Array.from([...`${bom}${SQL}`], (letter) => letter.charCodeAt(0));
    Deno.writeFileSync(path, new Uint8Array(units.buffer));
    assert.match((await failure(directory.path)).message, /x\.sql: it is UTF-16 text/);
  }
});

Deno.test("SQLite's own syntax errors are found before anything runs, with a caret", async () => {
  using directory = new TemporaryDirectory();
  const cases: Readonly<Record<string, readonly [place: string, under: string]>> = {
    "CREATE TABL t (a);": ["3:8", "TABL"],
    "SELECT 1;\n\n  SELECT a,\n    FROM t;": ["6:5", "FROM"],
    "SELECT a FROM t WHERE a = a a AND a;": ["3:29", "a AND"],
    "SELECT 1 +;": ["3:11", ";"],
    "SELECT (1": ["3:10", ""],
    "SELECT \\ 1;": ["3:8", "\\"],
  };
  for (const [sql, [place, under]] of Object.entries(cases)) {
    write(directory, { "004_x.sql": `-- database: app\n-- migrate:up\n${sql}\n` });
    const migrations = await readMigrations(directory.path);
    assert.throws(() => refuseSyntaxErrors(migrations), (error) => {
      assert(error instanceof MigrationFileError);
      assert(error.message.includes(`004_x.sql:${place}: `), error.message);
      const [line = "", caret = ""] = error.help?.split("\n").slice(-2) ?? [];
      assert(line.slice(caret.indexOf("^")).startsWith(under), error.help ?? "");
      return true;
    });
  }
});

Deno.test("a reference to an object of an earlier migration is not a syntax error", async () => {
  using directory = new TemporaryDirectory();
  write(directory, {
    "004_x.sql": `-- database: app
-- migrate:up
ALTER TABLE orders ADD COLUMN notes TEXT;
CREATE INDEX i ON orders (notes);
CREATE TRIGGER g AFTER INSERT ON orders BEGIN SELECT 1; END;
INSERT INTO nowhere SELECT * FROM elsewhere;
PRAGMA journal_mode = DELETE;
-- migrate:down
DROP TABLE orders;`,
  });
  refuseSyntaxErrors(await readMigrations(directory.path));
});

Deno.test("the bot's migrator accepts a directory in addition to the bundled migrations", async () => {
  using directory = new TemporaryDirectory();
  using migrationsDir = new TemporaryDirectory();
  write(migrationsDir, {
    "001_create_positions_tables.ts": "throw new Error('not to be read')",
    "004_add_notes.sql":
      "-- database: trading\n-- migrate:up\nALTER TABLE orders ADD COLUMN notes TEXT;\n",
  });
  const options = { dataDir: directory.path, migrationsDir: migrationsDir.path };
  const { applied } = await (await openCatalystMigrator(options)).upgrade();
  assert.deepEqual(applied.map(({ id }) => id), ["001", "002", "003", "004"]);
  write(migrationsDir, { "003_mine.sql": "-- database: trading\n-- migrate:up\nSELECT 1;\n" });
  await assert.rejects(openCatalystMigrator(options), /003_create_ml_training_tables.*same number/);
});

Deno.test("a file that changes after it was read runs as it was read", async () => {
  using directory = new TemporaryDirectory();
  using migrationsDir = new TemporaryDirectory();
  const head = "-- database: trading\n-- migrate:up\n";
  write(migrationsDir, { "004_x.sql": `${head}CREATE TABLE planned (a);` });
  const migrator = await openCatalystMigrator({
    dataDir: directory.path,
    migrationsDir: migrationsDir.path,
  });
  write(migrationsDir, { "004_x.sql": `${head}CREATE TABLE another (a);` });
  await migrator.upgrade();
  withDatabase(directory.file("trading.db"), (db) => {
    const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
    const names = tables.map(({ name }) => String(name));
    assert(names.includes("planned") && !names.includes("another"));
  });
});

/** A bot with fifteen databases, from finding them to getting them back. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { Migrator } from "../../../lib/migrator.ts";
import { cliCommand, contentOf, runCli } from "../../helpers.ts";
import { execute, Program, query, runCommandLine, TemporaryDirectory } from "../support.ts";

/** A bot's database files at unusual places, with unusual names, in addition to the bundled ones. */
const files = [
  ...["market.db", "tickers", "seen_ids.sqlite", "2024.db", "with space.db", "dedup/first_seen.db"],
  ...["feedback/alert_performance.db", "moa/rejected_tracking.db", "moa/deep/er/cache", "ÄÖ.db"],
  ...["other/market.db", "select.db"],
];

Deno.test("fifteen databases are found, adopted, migrated, backed up, damaged and restored", async () => {
  using directory = new TemporaryDirectory();
  for (const path of ["data/dedup", "data/feedback", "data/moa/deep/er", "data/other"]) {
    Deno.mkdirSync(directory.file(path), { recursive: true });
  }
  const at = (file: string) => directory.file(`data/${file}`);
  for (const [number, file] of files.entries()) {
    execute(
      at(file),
      `CREATE TABLE entries (id INTEGER PRIMARY KEY, body TEXT); INSERT INTO entries VALUES (1, '${number}')`,
    );
  }
  const run = async (...args: string[]) => {
    const result = await runCommandLine(args, { cwd: directory.path });
    assert.equal(result.code, 0, `${args.join(" ")}: ${result.stdout}${result.stderr}`);
    return result.stdout;
  };
  await run("init", "--yes");
  const { databases } = JSON.parse(Deno.readTextFileSync(directory.file("catalyst.json")));
  assert.deepEqual(Object.values(databases).toSorted(), files.toSorted());
  const nameOf = (file: string) =>
    Object.keys(databases).find((name) => databases[name] === file) ?? "";
  const adopted = ["market.db", "2024.db", "moa/deep/er/cache"];
  for (const file of adopted) await run("adopt", nameOf(file), "--quiet");
  await run("upgrade");
  for (const [index, file] of adopted.entries()) {
    Deno.writeTextFileSync(
      directory.file(`migrations/10${index}_add_seen.sql`),
      `-- database: ${nameOf(file)}\n-- migrate:up\nALTER TABLE entries ADD COLUMN seen INTEGER;\n`,
    );
  }
  await run("upgrade");
  await run("verify", "--data", "--quiet");
  const { snapshot } = JSON.parse(await run("backup", "--json"));
  assert.equal(snapshot.files.length, 16);
  await run("backup", "verify", "latest", "--restore", "--quiet");

  const before = files.map((file) => contentOf(at(file)));
  for (const file of ["market.db", "ÄÖ.db"]) {
    Deno.writeTextFileSync(at(file), "damaged ".repeat(999));
  }
  Deno.removeSync(at("with space.db"));
  await run("restore", "latest", "--yes");
  assert.deepEqual(files.map((file) => contentOf(at(file))), before);
  await run("verify", "--data", "--quiet");

  // The same configuration with a prefix has databases of its own, and leaves these alone.
  const isolated = await runCommandLine(["upgrade"], {
    cwd: directory.path,
    env: { DB_PATH_PREFIX: "test_" },
  });
  // What was adopted is created by its migration where there is nothing.
  assert.equal(isolated.code, 0, isolated.stderr);
  assert(Deno.statSync(directory.file("test_moa/deep/er/cache")).isFile);
  assert.deepEqual(files.map((file) => contentOf(at(file))), before);
});

/** A directory with a configuration of fifteen databases of their own, and one migration for each. */
function fifteen(): TemporaryDirectory {
  const directory = new TemporaryDirectory();
  Deno.mkdirSync(directory.file("migrations"));
  const names = Array.from({ length: 15 }, (_, index) => `db${index + 1}`);
  const databases = Object.fromEntries(names.map((name) => [name, `${name}.db`]));
  Deno.writeTextFileSync(
    directory.file("catalyst.json"),
    JSON.stringify({ bundled: false, databases }),
  );
  for (const [index, name] of names.entries()) {
    Deno.writeTextFileSync(
      directory.file(`migrations/${String(index + 1).padStart(3, "0")}_notes.sql`),
      `-- database: ${name}\n-- migrate:up\nCREATE TABLE notes (body TEXT);\n`,
    );
  }
  return directory;
}

Deno.test("a kill between two of fifteen databases leaves each with its migration and marker, or neither", async () => {
  using directory = fifteen();
  const path = directory.file("migrations/008_notes");
  const sql = Deno.readTextFileSync(`${path}.sql`);
  Deno.removeSync(`${path}.sql`);
  // It has created its table, and is killed before the commit.
  Deno.writeTextFileSync(
    `${path}.js`,
    `export default {
      name: "008_notes",
      database: "db8",
      upgrade: async (transaction) => {
        await transaction.run("CREATE TABLE notes (body TEXT)");
        Deno.kill(Deno.pid, "SIGKILL");
        await new Promise(() => {});
      },
    };`,
  );
  const killed = await runCli(["upgrade"], { cwd: directory.path, alone: true });
  assert(killed.code !== 0 && killed.code !== 1, killed.stderr);
  const contents = () =>
    Array.from({ length: 15 }, (_, index) => contentOf(directory.file(`data/db${index + 1}.db`)));
  for (const [index, { markers, objects, integrity }] of contents().entries()) {
    const expected = index < 7 ? 1 : 0;
    assert.equal(integrity, "ok");
    assert.deepEqual([markers.length, objects.length], [expected, expected], `db${index + 1}`);
  }
  Deno.removeSync(`${path}.js`);
  Deno.writeTextFileSync(`${path}.sql`, sql);
  const again = await runCommandLine(["upgrade"], { cwd: directory.path });
  assert.equal(again.code, 0, again.stderr);
  for (const { markers } of contents()) assert.equal(markers.length, 1);
});

Deno.test("a snapshot is consistent while money moves between two databases that are not bundled", async () => {
  using directory = new TemporaryDirectory();
  const [a, b] = [directory.file("a.db"), directory.file("b.db")];
  for (const path of [a, b]) {
    execute(
      path,
      "PRAGMA journal_mode = WAL; CREATE TABLE account (cents INTEGER); INSERT INTO account VALUES (1000000)",
    );
  }
  const migrator = new Migrator({
    databases: { a, b },
    ledger: directory.file("migrations.db"),
    migrations: [],
    alone: true,
  });
  // One cent at a time leaves one account and then reaches the other one: at most one is on its way.
  await using _writer = await Program.start(
    a,
    `const other = new DatabaseSync(${JSON.stringify(b)});
    for (const one of [db, other]) one.exec("PRAGMA busy_timeout = 5000; PRAGMA synchronous = OFF");
    setInterval(() => {
      for (let n = 0; n < 20; n++) {
        db.exec("UPDATE account SET cents = cents - 1");
        other.exec("UPDATE account SET cents = cents + 1");
      }
    })`,
    { last: "Deno.exit()" },
  );
  const seen = new Set<number>();
  for (let number = 0; number < 15; number++) {
    const { name } = await migrator.createSnapshot({ verify: "none" });
    const [left, right] = ["a", "b"].map((database) => {
      using db = new DatabaseSync(directory.file(`backups/${database}_${name}.db`));
      return Number(db.prepare("SELECT cents FROM account").get()?.cents);
    });
    const sum = Number(left) + Number(right);
    assert(sum === 2_000_000 || sum === 1_999_999, String(sum));
    seen.add(Number(left));
  }
  assert(seen.size > 1, "the writer stood still");
});

Deno.test("the documented permissions are enough with a configuration", async () => {
  using directory = fifteen();
  const page = Deno.readTextFileSync(new URL("../../../docs/permissions.md", import.meta.url));
  const [line = ""] = /^deno run --allow-read=.*$/m.exec(page) ?? [];
  const permissions = line.split(" ").filter((word) => word.startsWith("--allow-"));
  assert(permissions.length >= 3 && line.includes("catalyst.json"));
  const options = { cwd: directory.path, permissions: ["--no-prompt", ...permissions] };
  for (
    const args of [["upgrade"], ["status", "--check"], ["backup"], [
      "backup",
      "verify",
      "latest",
      "--restore",
    ]]
  ) {
    const { code, stdout, stderr } = await runCli([...args, "--quiet"], options);
    assert.deepEqual({ args, code, text: stdout + stderr }, { args, code: 0, text: "" });
  }
  assert.equal(query(directory.file("data/db15.db"), "SELECT * FROM notes").length, 0);
});

Deno.test({
  name: "an interruption ends the run over several bots",
  ignore: Deno.build.os === "windows", // there is no SIGINT that a test could send
  fn: async () => {
    using directory = fifteen();
    for (const bot of ["one", "two"]) {
      Deno.mkdirSync(directory.file(`${bot}/data`), { recursive: true });
    }
    const path = directory.file("migrations/008_notes");
    Deno.removeSync(`${path}.sql`);
    Deno.writeTextFileSync(
      `${path}.js`,
      `export default {
        name: "008_notes",
        database: "db8",
        upgrade: async () => {
          const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
          await wait(20); // signals are heard again after the statement before
          Deno.kill(Deno.pid, "SIGINT");
          await wait(100);
        },
      };`,
    );
    const command = cliCommand(["upgrade", "--data-dir", "*/data"], { cwd: directory.path });
    const { code, stdout } = await command.output();
    assert.equal(code, 130);
    assert.match(new TextDecoder().decode(stdout), /^two\/data +skipped$/m);
    assert.deepEqual([...Deno.readDirSync(directory.file("two/data"))], []);
  },
});

import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { prepare, run } from "../../cli_helpers.ts";
import { execute, tempDir } from "../../helpers.ts";
import { examine } from "./support.ts";

const narrow = ["--allow-read", "--allow-write", "--allow-env"];

for (const [what, code] of [["emptied", "database-emptied"], ["deleted", "database-gone"]]) {
  Deno.test(`a database that was ${what} is reported as lost, not as a ledger to correct`, async () => {
    await using directory = await tempDir();
    const cwd = directory.path;
    await prepare(["upgrade"], { cwd });
    const path = join(cwd, "data/trading.db");
    await (what === "emptied" ? Deno.truncate(path) : Deno.remove(path));
    const diagnosis = await examine({ cwd });
    assert.deepEqual(diagnosis.codes("problem"), [code]);
    assert.match(
      diagnosis.only(code ?? "").help ?? "",
      /`restore` a snapshot; otherwise `upgrade`/,
    );
    const misleading = ["unreconciled", "migrations-pending", "database-missing", "database-empty"];
    assert.deepEqual(diagnosis.codes("notice").filter((one) => misleading.includes(one)), []);
    const about = diagnosis.checks.filter(({ database }) => database === "trading");
    assert.deepEqual(about.map((check) => check.code), [code]);
  });
}

for (const permissions of [["-A"], narrow]) {
  Deno.test(`a database without tables is lost for doctor as for status, with ${permissions[0]}`, async () => {
    await using directory = await tempDir();
    const cwd = directory.path;
    await prepare(["upgrade"], { cwd });
    const path = join(cwd, "data/trading.db");
    await Deno.remove(path);
    // A program that opened the missing file in WAL mode has created it, without tables.
    execute(path, "PRAGMA journal_mode = WAL");
    assert(Deno.statSync(path).size > 0);
    const status = await run(["status", "--json"], { cwd });
    assert.deepEqual(JSON.parse(status.stdout).lost, [{ database: "trading", snapshot: null }]);
    const diagnosis = await examine({ cwd, permissions });
    assert.deepEqual(diagnosis.codes("problem"), ["database-emptied"]);
    const { database, detail } = diagnosis.only("database-emptied");
    assert.equal(database, "trading");
    assert.match(
      detail,
      /trading\.db has no tables, but the ledger says that migrations were applied/,
    );
    assert(!diagnosis.codes("notice").includes("unreconciled"));
  });
}

Deno.test("a database whose tables are only in its log is not lost", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  const path = join(cwd, "data/trading.db");
  await Deno.remove(path);
  execute(join(cwd, "source.db"), "PRAGMA journal_mode = WAL");
  using source = new DatabaseSync(join(cwd, "source.db"));
  source.exec("CREATE TABLE orders (id)");
  // As after a kill or a copy: the log without its index.
  for (const ending of ["", "-wal"]) {
    Deno.copyFileSync(join(cwd, `source.db${ending}`), path + ending);
  }
  const diagnosis = await examine({ cwd });
  assert(!diagnosis.codes("problem").includes("database-emptied"));
  assert.equal(diagnosis.only("log-not-read").database, "trading");
});

Deno.test("an empty file to which no migration was applied is not a problem", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade", "--to", "001"], { cwd });
  await Deno.writeTextFile(join(cwd, "data/trading.db"), "");
  const diagnosis = await examine({ cwd });
  assert.deepEqual(diagnosis.codes("problem"), []);
  assert.match(diagnosis.only("migrations-pending").detail, /002_\w+, 003_/);
});

for (const permissions of [["-A"], narrow]) {
  Deno.test(`an unreadable ledger is not reported as wrong, with ${permissions[0]}`, async () => {
    await using directory = await tempDir();
    const cwd = directory.path;
    await prepare(["upgrade"], { cwd });
    await Deno.writeFile(
      join(cwd, "data/migrations.db"),
      crypto.getRandomValues(new Uint8Array(9000)),
    );
    await Deno.remove(join(cwd, "data/trading.db"));
    await Deno.truncate(join(cwd, "data/positions.db"));
    const diagnosis = await examine({ cwd, permissions });
    assert.deepEqual(diagnosis.codes("problem"), ["not-a-database"]);
    const { database, help } = diagnosis.only("not-a-database");
    assert.equal(database, "migrations");
    assert.match(help ?? "", /`upgrade` creates a new one/);
    for (const code of ["unreconciled", "migrations-pending"]) {
      assert(!diagnosis.codes("notice").includes(code), code);
    }
    for (const [code, name] of [["database-missing", "trading"], ["database-empty", "positions"]]) {
      const check = diagnosis.only(code ?? "");
      assert.equal(check.database, name);
      assert.match(check.detail, /whether it ever (was|did) .*is unknown/);
      assert.match(
        check.help ?? "",
        /if it (did|was), .*`restore` a snapshot; otherwise `upgrade`/,
      );
    }
    // The advice works.
    await Deno.remove(join(cwd, "data/migrations.db"));
    await prepare(["upgrade"], { cwd });
  });
}

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { versionReport } from "../../../lib/commands/help.ts";
import { version } from "../../../lib/base/version.ts";
import { bundledMigrations } from "../../../migrations/mod.ts";
import { migrationOf, query, runCommandLine, TemporaryDirectory } from "../support.ts";

Deno.test("--version shows toolkit, Deno, SQLite, migrations and program in aligned lines", async () => {
  using directory = new TemporaryDirectory();
  const { code, stdout, stderr } = await runCommandLine(["-V"], { cwd: directory.path });
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  using db = new DatabaseSync(":memory:");
  const sqlite = db.prepare("SELECT sqlite_version() AS version").get()?.["version"];
  const { migrations } = await versionReport(bundledMigrations);
  assert.equal(
    stdout,
    `catalyst-migrate ${version}
deno        ${Deno.version.deno}
sqlite      ${sqlite}
migrations  3, sha256 ${migrations.sha256.slice(0, 12)}
program     run by deno, ${Deno.build.target}
`,
  );
  assert.deepEqual(directory.names(), []);
});

Deno.test("--version --json is one document, with the checksums that databases hold", async () => {
  using directory = new TemporaryDirectory();
  const { stdout } = await runCommandLine(["--version", "--json"], { cwd: directory.path });
  const report = JSON.parse(stdout);
  assert.deepEqual(report, { ok: true, ...await versionReport(bundledMigrations) });
  assert.equal(report.standalone, false);
  await runCommandLine(["upgrade", "--data-dir", directory.path]);
  const markers = ["positions", "trading", "ml_training"].flatMap((name) =>
    query(
      directory.file(`${name}.db`),
      "SELECT migration_name AS name, checksum FROM catalyst_migrations",
    )
  );
  assert.deepEqual(report.migrations.bundled, markers);
});

Deno.test("the hash of the migrations changes with a name, a text and their order", async () => {
  const [a, b] = [migrationOf({ name: "001_a" }), migrationOf({ name: "002_b" })];
  const lists = [
    [],
    [a],
    [a, b],
    [b, a],
    [a, migrationOf({ name: "002_c" })],
    [a, migrationOf({ name: "002_b", upgrade: "SELECT 2" })],
    [a, migrationOf({ name: "002_b", upgrade: () => {} })],
  ];
  const hashes = await Promise.all(
    lists.map(async (list) => (await versionReport(list)).migrations.sha256),
  );
  assert.equal(new Set(hashes).size, lists.length);
  for (const hash of hashes) assert.match(hash, /^[0-9a-f]{64}$/);
});

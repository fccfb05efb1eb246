import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  cliCommand,
  execute,
  existsSync,
  outputOf,
  query,
  runCli,
  tempDir,
} from "../../helpers.ts";

const isWindows = Deno.build.os === "windows";
const withoutSignals = isWindows ? " (skipped: Windows has no SIGINT to send)" : "";

const DUMP = `BEGIN TRANSACTION;
CREATE TABLE deposits (deposit_id INTEGER PRIMARY KEY, cents INTEGER NOT NULL);
INSERT INTO deposits VALUES(1,100);
INSERT INTO deposits VALUES(2,250);
COMMIT;
`;

/** A data directory with a dump next to it. */
async function withDump(dump = DUMP) {
  const dir = await tempDir();
  const file = join(dir.path, "dump.sql");
  await Deno.writeTextFile(file, dump);
  return {
    file,
    dir,
    run: (...args: string[]) => runCli([...args, "--data-dir", dir.path]),
    database: dir.database("positions"),
    [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose](),
  };
}

Deno.test("import creates a database, and prints its tables and row counts", async () => {
  await using place = await withDump();
  const { code, stdout, stderr } = await place.run("import", place.file, "--database", "positions");
  assert.equal(code, 0, stderr);
  assert.equal(stderr, "");
  assert.equal(
    stdout.replace(place.file, "dump.sql"),
    "deposits  2 rows\nCreated positions from dump.sql: 1 table, 2 rows.\n",
  );
});

Deno.test("import over a database compares the row counts, needs --yes, and can be undone", async () => {
  await using place = await withDump();
  await place.run("upgrade");
  execute(
    place.database,
    `INSERT INTO positions
      (position_id, ticker, side, quantity, entry_price, current_price, opened_at, updated_at)
    VALUES ('P1', 'AAPL', 'long', 1, 1, 1, 1, 1)`,
  );
  const args = ["import", place.file, "--database", "positions"];
  const refused = await place.run(...args);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /^error: Cannot import .+: it would replace positions$/m);
  assert.match(refused.stderr, /^help: nothing was changed; .*--yes/m);
  const done = await place.run(...args, "--yes");
  assert.equal(done.code, 0, done.stderr);
  assert.match(done.stderr, /^ {2}positions +1 row +-> +missing$/m);
  assert.match(done.stderr, /^ {2}deposits +missing +-> +2 rows$/m);
  assert.match(done.stdout, /^Replaced positions from .+: 1 table, 2 rows\.$/m);
  assert.match(done.stdout, /^The previous data is in snapshot \d+_\d+; `restore --undo`/m);
  assert.match(done.stdout, /^corrected the ledger for 001:/m);
  assert.equal((await place.run("restore", "--undo", "--yes")).code, 0);
  assert.deepEqual(query(place.database, "SELECT position_id FROM positions"), [
    { position_id: "P1" },
  ]);
});

Deno.test("import --json is one document", async () => {
  await using place = await withDump(
    `${DUMP}CREATE TABLE p (a PRIMARY KEY); CREATE TABLE c (a REFERENCES p); INSERT INTO c VALUES (1);`,
  );
  const { stdout, stderr } = await place.run(
    "import",
    place.file,
    "--database=positions",
    "--json",
  );
  assert.deepEqual(JSON.parse(stdout), {
    ok: true,
    database: "positions",
    outcome: "created",
    rows: { c: 1, deposits: 2, p: 0 },
    violations: [{ table: "c", parent: "p", rows: 1 }],
    violatedChecks: [],
    snapshot: null,
    adopted: [],
    reconciled: [],
  });
  assert.equal(
    stderr,
    "warning: 1 row of c points to rows of p that don't exist, as in the dump\n",
  );
});

Deno.test("import - reads stdin, compressed or not", async () => {
  await using place = await withDump();
  const packed = new Blob([DUMP]).stream().pipeThrough(new CompressionStream("gzip"));
  const args = ["import", "-", "--database", "positions", "--yes", "--data-dir", place.dir.path];
  for (const bytes of [new TextEncoder().encode(DUMP), await new Response(packed).bytes()]) {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", fileURLToPath(new URL("../../../cli.ts", import.meta.url)), ...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(bytes);
    await writer.close();
    const { code, stdout, stderr } = await outputOf(child);
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    assert.match(new TextDecoder().decode(stdout), /positions from stdin: 1 table, 2 rows\.$/m);
  }
});

Deno.test("import --into-existing adds rows, and loses some only with --yes", async () => {
  await using place = await withDump();
  const into = ["--database", "positions", "--into-existing"];
  await place.run("import", place.file, "--database", "positions");
  await Deno.writeTextFile(place.file, "INSERT INTO deposits VALUES (3, 7);");
  const added = await place.run("import", place.file, ...into);
  assert.equal(added.code, 0, added.stderr);
  assert.match(added.stdout, /^deposits +1 row$/m);
  assert.match(added.stdout, /^Changed positions from .+: 1 table, 1 row\.$/m);
  assert.match(added.stdout, /^The previous data is in snapshot \d+_\d+; `restore \d+_\d+` goes/m);
  await Deno.writeTextFile(place.file, "DELETE FROM deposits;");
  const refused = await place.run("import", place.file, ...into);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /would lose rows: 3 of table "deposits"$/m);
  const confirmed = await place.run("import", place.file, ...into, "--yes", "--no-backup");
  assert.equal(confirmed.code, 0);
  assert.match(confirmed.stderr, /^ +deposits +3 rows +-> +0 rows +\(3 lost or changed\)$/m);
  assert.deepEqual(query(place.database, "SELECT count(*) AS rows FROM deposits"), [{ rows: 0 }]);
});

Deno.test("import accepts CSV and JSON Lines, and writes bad rows to a file", async () => {
  await using place = await withDump();
  await place.run("import", place.file, "--database", "positions");
  const csv = join(place.dir.path, "rows.csv");
  await Deno.writeTextFile(csv, "deposit_id,cents\n3,7\n4,\n5,9\n");
  const args = ["--database", "positions", "--table", "deposits"];
  const refused = await place.run("import", csv, ...args);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /line 3/);
  const aside = join(place.dir.path, "bad.csv");
  assert.equal(existsSync(aside), false);
  const { code, stdout, stderr } = await place.run(
    "import",
    csv,
    ...args,
    "--skip-bad-rows",
    aside,
  );
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^Imported 2 rows of .+ into deposits\.\n1 bad row written to /);
  assert.equal(await Deno.readTextFile(aside), "deposit_id,cents\n4,\n");
  const jsonl = join(place.dir.path, "rows.ndjson");
  await Deno.writeTextFile(jsonl, '{"cents": 11}\n');
  assert.equal((await place.run("import", jsonl, ...args)).code, 0);
  assert.equal((await place.run("import", jsonl, ...args, "--skip-bad-rows", `${aside}2`)).code, 0);
  assert.deepEqual(query(place.database, "SELECT sum(cents) AS cents FROM deposits"), [
    { cents: 388 },
  ]);
});

Deno.test({
  name: `an import interrupted by Ctrl-C says so, and leaves no files${withoutSignals}`,
  ignore: isWindows,
  async fn() {
    await using place = await withDump("");
    const args = ["import", "-", "--database", "positions", "--data-dir", place.dir.path];
    const child = cliCommand(args, { stdin: "piped" }).spawn();
    const writer = child.stdin.getWriter();
    const line = new TextEncoder().encode("CREATE TABLE IF NOT EXISTS t (a);\n".repeat(2000));
    await writer.write(line);
    while (!existsSync(join(place.dir.path, "positions.db.import.part"))) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    // All statements are done by then: it waits for more, and hears the signal.
    await new Promise((resolve) => setTimeout(resolve, 500));
    child.kill("SIGINT");
    const { code, stderr } = await outputOf(child);
    await writer.close().catch(() => {});
    assert.equal(code, 130);
    assert.match(
      new TextDecoder().decode(stderr),
      /^error: Cannot import .+: interrupted\nhelp: noth/m,
    );
    assert.deepEqual(
      [...Deno.readDirSync(place.dir.path)].map(({ name }) => name).toSorted(),
      ["dump.sql", "migrations.lock"],
    );
  },
});

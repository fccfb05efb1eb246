/** A ledger on a real libSQL server, which several machines share. */
import { deepStrictEqual as equal, match, ok, rejects } from "node:assert/strict";
import { MigratorLockedError } from "../../../lib/base/errors.ts";
import { openLibsql } from "../../../lib/database/libsql.ts";
import { parseLibsqlAddress } from "../../../lib/database/location.ts";
import { Lease } from "../../../lib/engine/lock.ts";
import { Session } from "../../../lib/engine/session.ts";
import { createWorkspace } from "../../../lib/state/workspace.ts";
import { runCli, tempDir } from "../../helpers.ts";
import { libsqlTest, TestServer } from "../../libsql_server.ts";

const MIGRATIONS = ["a", "b", "a", "b"];

function open(server: TestServer, namespace: string) {
  const address = parseLibsqlAddress(server.address(namespace));
  return openLibsql({ address, tokenVariables: [] }, { timeout: 20 });
}

/** The files of one machine: a configuration, the migrations and a data directory. */
async function prepare(dir: string, server: TestServer): Promise<void> {
  await Deno.mkdir(`${dir}/migrations`);
  await Deno.writeTextFile(
    `${dir}/catalyst.json`,
    JSON.stringify({
      bundled: false,
      timeout: 60,
      databases: { a: server.address("a"), b: server.address("b") },
      ledger: server.address("ledger"),
    }),
  );
  for (const [index, database] of MIGRATIONS.entries()) {
    await Deno.writeTextFile(
      `${dir}/migrations/00${index + 1}_step.sql`,
      `-- database: ${database}\n-- migrate:up\nCREATE TABLE step_${index + 1} (id INTEGER);\n` +
        `-- migrate:down\nDROP TABLE step_${index + 1};\n`,
    );
  }
}

libsqlTest(
  "machines that share a ledger apply each migration once, and have one history",
  async () => {
    await using server = await (await TestServer.start()).create("a", "b", "ledger");
    await using stack = new AsyncDisposableStack();
    const machines: string[] = [];
    for (let machine = 0; machine < 3; machine++) {
      const { path } = stack.use(await tempDir());
      await prepare(path, server);
      machines.push(path);
    }
    const run = async (cwd: string, ...args: readonly string[]) => {
      const { code, stdout, stderr } = await runCli(args, { cwd });
      equal(code, 0, `${args.join(" ")}: ${stderr}`);
      return stdout;
    };
    const [one = "", other = ""] = machines;
    // The first migration was applied when the ledger was still a file.
    const shared = await Deno.readTextFile(`${one}/catalyst.json`);
    await Deno.writeTextFile(
      `${one}/catalyst.json`,
      JSON.stringify({ ...JSON.parse(shared), ledger: undefined }),
    );
    await run(one, "upgrade", "--to", "001");
    await run(one, "copy", "data/migrations.db", server.address("ledger"));
    await Deno.writeTextFile(`${one}/catalyst.json`, shared);
    await Deno.remove(`${one}/data`, { recursive: true });
    await Promise.all(machines.map((cwd) => run(cwd, "upgrade")));
    await using ledger = await open(server, "ledger");
    const events = await ledger.all(
      "SELECT migration_id AS id, outcome FROM migration_events ORDER BY event_id",
    );
    equal(
      events.map(({ id, outcome }) => `${id} ${outcome}`),
      ["001", "002", "003", "004"].flatMap((id) => [`${id} started`, `${id} applied`]),
    );
    equal(
      await run(one, "history", "--json"),
      await run(other, "history", "--json"),
    );
    await run(one, "downgrade", "--to", "003", "--yes");
    match(await run(other, "history"), /004_step/);
    const status = await runCli(["status", "--check"], { cwd: other });
    equal(status.code, 1, status.stderr);
    await run(other, "upgrade");
    for (const cwd of machines) await run(cwd, "status", "--check");
    const rows = JSON.parse(
      await run(one, "query", "ledger", "SELECT count(*) AS n FROM migration_history", "--json"),
    ).rows;
    equal(rows, [{ n: 4 }]);
    const doctor = await run(one, "doctor");
    ok(doctor.includes(`${server.address("ledger")}: the server answers`), doctor);
    // The ledger is part of the snapshot, whose files are next to the lock, in the data directory.
    await run(one, "backup");
    await run(one, "backup", "verify", "latest");
    const files = [...Deno.readDirSync(`${one}/data/backups`)].map(({ name }) => name);
    ok(files.some((name) => /^migrations_.*\.db$/.test(name)), files.join());
    ok(!files.includes("migrations.db"));
  },
);

libsqlTest("a session that shares a ledger keeps other machines out until it ends", async () => {
  await using server = await (await TestServer.start()).create("a", "ledger");
  await using mine = await tempDir();
  await using theirs = await tempDir();
  const begin = ({ path }: { readonly path: string }) =>
    Session.begin(createWorkspace({
      databases: { a: server.address("a") },
      ledger: server.address("ledger"),
      prefix: `${path}/`,
      migrations: [],
      timeout: 0,
    }));
  {
    await using _session = await begin(mine);
    await rejects(begin(theirs), (error) => {
      ok(error instanceof MigratorLockedError, String(error));
      return error.message.includes(server.address("ledger"));
    });
  }
  await using _session = await begin(theirs);
});

libsqlTest("a renewed lease does not expire, and reports if it was taken over", async () => {
  await using server = await (await TestServer.start()).create("a");
  await using mine = await open(server, "a");
  await using theirs = await open(server, "a");
  const lease = await Lease.take(mine, { holder: "me", timeout: 0, renewAfter: 0.02 });
  const until = async () =>
    (await theirs.get("SELECT applied_at FROM catalyst_migrations"))?.["applied_at"];
  await theirs.exec("UPDATE catalyst_migrations SET applied_at = 5");
  lease.keepUp();
  const deadline = performance.now() + 10_000;
  while (await until() === 5) ok(performance.now() < deadline, "it was not renewed");
  await lease.renew();
  await theirs.exec(
    "UPDATE catalyst_migrations SET applied_at = unixepoch() + 60, migration_name = 'they'",
  );
  for (let error: unknown = null; error === null;) {
    ok(performance.now() < deadline, "the loss was not noticed");
    error = await lease.renew().then(() => null, (error) => error);
    if (error !== null) ok(error instanceof MigratorLockedError, String(error));
    else await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await lease.release();
});

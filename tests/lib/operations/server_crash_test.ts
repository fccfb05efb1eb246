/**
 * Kills the program, or the server, at random moments: nothing is lost, and nothing is applied
 * twice. `CATALYST_TEST_EFFORT` multiplies the five kills, `CATALYST_CRASH_SEED` repeats a run.
 */
import { deepStrictEqual as equal, ok } from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { openLibsql } from "../../../lib/database/libsql.ts";
import { parseLibsqlAddress } from "../../../lib/database/location.ts";
import { trials } from "../../effort.ts";
import { cliCommand, outputOf, runCli, tempDir } from "../../helpers.ts";
import { freePort, libsqlTest, TestServer } from "../../libsql_server.ts";

const runs = trials(1);
const seed = Number(Deno.env.get("CATALYST_CRASH_SEED") ?? Math.floor(Math.random() * 2 ** 31));

/** A reproducible sequence of numbers from 0 to 1. */
function* numbers(): Generator<number, never> {
  for (let state = seed;;) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state / 2 ** 32;
  }
}

const random = numbers();
const MIGRATIONS = 4;

async function prepare(dir: string, server: TestServer, names: readonly string[]): Promise<void> {
  await Deno.mkdir(`${dir}/migrations`);
  const databases = Object.fromEntries(names.map((name) => [name, server.address(name)]));
  await Deno.writeTextFile(
    `${dir}/catalyst.json`,
    JSON.stringify({ bundled: false, timeout: 10, databases }),
  );
  for (let number = 1; number <= MIGRATIONS; number++) {
    const table = number <= names.length ? "CREATE TABLE log (id INTEGER, note TEXT);\n" : "";
    await Deno.writeTextFile(
      `${dir}/migrations/00${number}_step.sql`,
      `-- database: ${names[(number - 1) % names.length]}\n-- migrate:up\n${table}` +
        `INSERT INTO log VALUES (${number}, 'applied');\nCREATE TABLE t${number} (a);\n`,
    );
  }
}

/** Milliseconds of a command that does nothing; to kill one earlier shows nothing. */
let idle: number | null = null;

/** Kills, and those of them that came before the command had ended. */
const counts = { kills: 0, during: 0 };

function report(): void {
  // deno-lint-ignore no-console -- says how much was tried, and how to repeat it
  console.log(
    `${counts.kills} kills, ${counts.during} before the end; CATALYST_CRASH_SEED=${seed}`,
  );
}

/** Starts a command, and calls `kill` after a fraction of its usual duration. */
async function killed(
  args: readonly string[],
  { cwd, milliseconds, kill }: {
    readonly cwd: string;
    readonly milliseconds: number;
    readonly kill: (child: Deno.ChildProcess) => void;
  },
): Promise<void> {
  if (idle === null) {
    const start = performance.now();
    await runCli(["--version"], { cwd, alone: true });
    idle = (performance.now() - start) * 0.7;
  }
  const child = cliCommand(args, { cwd }).spawn();
  let hasEnded = false;
  const output = outputOf(child).then(() => {
    hasEnded = true;
  });
  const delay = idle + random.next().value * Math.max(100, milliseconds - idle);
  await new Promise((resolve) => setTimeout(resolve, delay));
  counts.kills++;
  if (!hasEnded) counts.during++;
  try {
    kill(child);
  } catch {
    // It had already ended.
  }
  await output;
}

/** The ids that the migrations wrote, by database. */
async function logged(server: TestServer, names: readonly string[]): Promise<unknown[]> {
  const found = [];
  for (const name of names) {
    const address = parseLibsqlAddress(server.address(name));
    await using connection = await openLibsql({ address, tokenVariables: [] }, { timeout: 20 });
    found.push(...(await connection.all("SELECT id FROM log ORDER BY id")).map(({ id }) => id));
  }
  return found.sort();
}

libsqlTest(
  "several migrators on different machines apply each migration only once",
  async () => {
    await using server = await (await TestServer.start()).create("a", "b", "c");
    await using stack = new AsyncDisposableStack();
    const directories: string[] = [];
    for (let machine = 0; machine < 3; machine++) {
      const dir = stack.use(await tempDir());
      await prepare(dir.path, server, ["a", "b", "c"]);
      directories.push(dir.path);
    }
    const results = await Promise.all(
      directories.map((cwd) => runCli(["upgrade", "--timeout", "60"], { cwd })),
    );
    for (const { code, stderr } of results) equal(code, 0, stderr);
    equal(await logged(server, ["a", "b", "c"]), [1, 2, 3, 4]);
    for (const cwd of directories) equal((await runCli(["status", "--check"], { cwd })).code, 0);
  },
);

libsqlTest(
  "if upgrade is killed, each migration is applied once in the end",
  async () => {
    await using files = await tempDir();
    const port = freePort();
    let server = await TestServer.start({ dir: files.path, port });
    try {
      let milliseconds = 1500;
      for (let run = 0; run < runs * 2; run++) {
        const names = [`a${run}`, `b${run}`];
        await server.create(...names);
        await using dir = await tempDir();
        await prepare(dir.path, server, names);
        const isServer = run % 2 === 1;
        await killed(["upgrade"], {
          cwd: dir.path,
          milliseconds,
          kill: (child) => isServer ? server.signal("SIGKILL") : child.kill("SIGKILL"),
        });
        if (isServer) {
          await server[Symbol.asyncDispose]();
          server = await TestServer.start({ dir: files.path, port });
        }
        const start = performance.now();
        const upgraded = await runCli(["upgrade"], { cwd: dir.path, alone: true });
        milliseconds = performance.now() - start;
        equal(upgraded.code, 0, upgraded.stderr);
        equal(await logged(server, names), [1, 2, 3, 4]);
        const status = await runCli(["status", "--check"], { cwd: dir.path });
        equal(status.code, 0, status.stderr);
      }
    } finally {
      await server[Symbol.asyncDispose]();
      report();
    }
  },
);

libsqlTest("if copy or backup is killed, the target is empty or complete", async () => {
  await using files = await tempDir();
  const port = freePort();
  let server = await TestServer.start({ dir: files.path, port });
  try {
    await using dir = await tempDir();
    const path = `${dir.path}/source.db`;
    {
      using db = new DatabaseSync(path);
      db.exec(
        `CREATE TABLE rows (id INTEGER PRIMARY KEY, value REAL);
        INSERT INTO rows
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
        SELECT i, i / 7.0 FROM n`,
      );
    }
    let [milliseconds, backupMilliseconds] = [2000, 1000];
    for (let run = 0; run < runs * 3; run++) {
      const name = `c${run}`;
      await server.create(name);
      const address = server.address(name);
      const kind = ["client", "server", "backup"][run % 3];
      if (kind === "backup") {
        equal((await runCli(["copy", path, address], { cwd: dir.path })).code, 0);
        await Deno.writeTextFile(
          `${dir.path}/catalyst.json`,
          JSON.stringify({ bundled: false, databases: { app: address } }),
        );
        await Deno.mkdir(`${dir.path}/data`, { recursive: true });
        await killed(["backup"], {
          cwd: dir.path,
          milliseconds: backupMilliseconds,
          kill: (child) => child.kill("SIGKILL"),
        });
        const start = performance.now();
        const checked = await runCli(["backup"], { cwd: dir.path, alone: true });
        backupMilliseconds = performance.now() - start;
        equal(checked.code, 0, checked.stderr);
        const verified = await runCli(["backup", "verify", "latest"], { cwd: dir.path });
        equal(verified.code, 0, verified.stderr);
        await Deno.remove(`${dir.path}/catalyst.json`);
        continue;
      }
      await killed(["copy", path, address], {
        cwd: dir.path,
        milliseconds,
        kill: (child) => kind === "server" ? server.signal("SIGKILL") : child.kill("SIGKILL"),
      });
      if (kind === "server") {
        await server[Symbol.asyncDispose]();
        server = await TestServer.start({ dir: files.path, port });
      }
      const start = performance.now();
      const again = await runCli(["copy", path, address], { cwd: dir.path, alone: true });
      if (again.code === 0) milliseconds = performance.now() - start;
      else ok(again.stderr.includes("it is not empty"), again.stderr);
      const parsed = parseLibsqlAddress(address);
      await using connection = await openLibsql({ address: parsed, tokenVariables: [] }, {
        timeout: 20,
      });
      equal(await connection.get("SELECT count(*) AS n, sum(id) AS ids FROM rows"), {
        n: 20_000,
        ids: 200_010_000,
      });
    }
  } finally {
    await server[Symbol.asyncDispose]();
    report();
  }
});

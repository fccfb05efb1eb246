import assert from "node:assert/strict";
import { join } from "node:path";
import { checkJson, checkText, command, decoded, kept, prepare } from "../cli_helpers.ts";
import { contentOf, existsSync, outputOf, tempDir } from "../helpers.ts";
import { startWriter } from "../lib/support.ts";
import { openSnapshots } from "../snapshot.ts";

const snapshots = openSnapshots("interrupt");
const ignore = Deno.build.os === "windows";
const skipped = ignore ? " (skipped: Windows has no SIGINT to send)" : "";

/** Starts a command, sends a signal when it listens and `isReady` is true, and waits for its end. */
async function interrupted(
  process: Deno.Command,
  { isReady, signal = "SIGINT" }: { isReady: () => boolean; signal?: "SIGINT" | "SIGTERM" },
) {
  const child = process.spawn();
  const output = outputOf(child);
  let isOver = false;
  output.then(() => isOver = true);
  while (!isOver && !(isReady() && listensTo(signal, child.pid))) await pause(5);
  await pause(200); // until it waits
  child.kill(signal);
  return decoded(await output);
}

/** Whether a process has a handler for a signal; always true except on Linux. */
function listensTo(signal: "SIGINT" | "SIGTERM", pid: number): boolean {
  if (Deno.build.os !== "linux") return true;
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  const caught = BigInt(`0x${/^SigCgt:\s*([0-9a-f]+)$/m.exec(status)?.[1]}`);
  const number = { SIGINT: 2n, SIGTERM: 15n }[signal];
  return (caught >> (number - 1n) & 1n) === 1n;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test({
    name: `${signal} stops the wait for another writer, and nothing is changed${skipped}`,
    ignore,
    async fn() {
      await using directory = await tempDir();
      const cwd = directory.path;
      await prepare(["upgrade", "--to", "001"], { cwd });
      const path = join(cwd, "data/positions.db");
      const before = contentOf(path);
      const events = join(cwd, "data/migrations.db-wal");
      {
        await using _writer = await startWriter(path, "SELECT 1");
        const args = ["downgrade", "--migration", "001", "--timeout", "600"];
        const isReady = () => existsSync(events);
        const text = await interrupted(command(args, { cwd }), { isReady, signal });
        checkText(text, { exit: 130 });
        snapshots(`${signal} while a writer is waited for`)(kept(args, {}, text));
        const json = await interrupted(command([...args, "--json"], { cwd }), { isReady, signal });
        checkJson(json, { exit: 130, code: "INTERRUPTED" });
      }
      assert.deepEqual(contentOf(path), before);
      await prepare(["downgrade"], { cwd });
    },
  });
}

Deno.test({
  name: `Ctrl-C stops the wait for another migrator, and nothing is changed${skipped}`,
  ignore,
  async fn() {
    await using directory = await tempDir();
    const cwd = directory.path;
    await prepare(["upgrade", "--to", "001"], { cwd });
    using lock = Deno.openSync(join(cwd, "data/migrations.lock"), { read: true, write: true });
    lock.lockSync(true);
    const args = ["upgrade", "--timeout", "600"];
    const result = await interrupted(command(args, { cwd }), { isReady: () => true });
    checkText(result, { exit: 130 });
    snapshots("another migrator is waited for")(kept(args, {}, result));
    assert(!existsSync(join(cwd, "data/trading.db")));
  },
});

/** A program with a long migration that creates a file when it starts. */
function program(upgrade: string): string {
  return `import { Migrator, defineMigration } from "${new URL("../../mod.ts", import.meta.url)}";
    import { createOutput } from "${new URL("../../lib/terminal/output.ts", import.meta.url)}";
    import { abortOnInterrupt } from "${new URL(
    "../../lib/base/event_loop.ts",
    import.meta.url,
  )}";
    import { exitCodeOf } from "${new URL("../../lib/commands/exit_code.ts", import.meta.url)}";
    const first = defineMigration({
      name: "001_first", database: "app", upgrade: "CREATE TABLE first (a)",
    });
    const long = defineMigration({ name: "002_long", database: "app", upgrade: ${upgrade} });
    const migrator = new Migrator({
      databases: { app: "app.db" }, ledger: "migrations.db", migrations: [first, long],
    });
    const interruption = new AbortController();
    using _listening = abortOnInterrupt(interruption);
    const onProgress = ({ id }) => { if (id === "002") Deno.writeTextFileSync("begun", ""); };
    try { await migrator.upgrade({ signal: interruption.signal, onProgress }); }
    catch (error) {
      await createOutput().error(error);
      Deno.exitCode = exitCodeOf(error);
    }`;
}

/** Long migrations: many statements, and one statement that never ends. */
const longMigrations = {
  "of many statements":
    `Array.from({ length: 200_000 }, (_, n) => \`CREATE TABLE t\${n} (a);\`).join("\\n")`,
  "of one statement": `\`CREATE TABLE t AS WITH RECURSIVE numbers (n) AS (
    SELECT 1 UNION ALL SELECT n + 1 FROM numbers
  ) SELECT count(*) AS n FROM numbers\``,
  "by a function": `async ({ exec, run }) => {
    await exec("CREATE TABLE t (a)");
    while (true) await run("INSERT INTO t VALUES (1)");
  }`,
  "by a function that never returns": `() => { while (true); }`,
};

const longRuns = [
  ...Object.entries(longMigrations).map(([kind, upgrade]) =>
    ({ signal: "SIGINT", kind, upgrade }) as const
  ),
  { signal: "SIGTERM", kind: "of one statement", upgrade: longMigrations["of one statement"] },
] as const;

for (const { signal, kind, upgrade } of longRuns) {
  Deno.test({
    name: `${signal} during a long migration ${kind} rolls it back${skipped}`,
    ignore,
    async fn() {
      await using directory = await tempDir();
      const cwd = directory.path;
      const child = new Deno.Command(Deno.execPath(), {
        args: ["eval", program(upgrade)],
        ...{ cwd, env: { NO_COLOR: "1" }, stdin: "null", stdout: "piped", stderr: "piped" },
      }).spawn();
      const output = outputOf(child);
      let isOver = false;
      output.then(() => isOver = true);
      while (!isOver && !existsSync(join(cwd, "begun"))) await pause(5);
      assert(!isOver, isOver ? decoded(await output).stderr : "");
      await pause(100); // until it is running
      const start = performance.now();
      child.kill(signal);
      const { code, stderr } = decoded(await output);
      assert.equal(code, signal === "SIGINT" ? 130 : 143, stderr); // ended by the program or by the signal
      assert(performance.now() - start < 10_000); // about a second on an idle machine
      const { objects, markers } = contentOf(join(cwd, "app.db"));
      assert.deepEqual(objects.map(({ name }) => name), ["first"]);
      assert.deepEqual(markers, ["001"]);
    },
  });
}

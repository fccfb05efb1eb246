/** Tests of the executable alone: its location, its built-in permissions and its threads. */
import assert from "node:assert/strict";
import { databaseNames, execute, outputOf, query } from "../helpers.ts";
import { reasonForNoTerminal } from "../lib/terminal/program.ts";
import { Place } from "./place.ts";
import { executable } from "./way.ts";

const way = await executable();

/** A test of the executable, or a skipped test. */
function test(name: string, fn: () => Promise<void>, missing: string | null = null): void {
  const reason = way.reason ?? missing;
  Deno.test({
    name: `the executable ${name}${reason === null ? "" : ` (skipped: ${reason})`}`,
    ignore: reason !== null,
    fn,
  });
}

const isWindows = Deno.build.os === "windows";
const noShell = isWindows ? "there is no `sh`" : null;

test("starts through a symbolic link, a relative path and PATH", async () => {
  using place = new Place(way, { name: "with a space" });
  const [path = ""] = place.command.slice(-1);
  Deno.symlinkSync(path, place.file("linked"));
  Deno.symlinkSync("linked", place.file("linked twice"));
  const lines = [
    "./linked",
    '"./linked twice"',
    '"../bin of with a space/catalyst-migrate"',
    'PATH="../bin of with a space:$PATH"; catalyst-migrate',
  ];
  for (const [index, line] of lines.entries()) {
    const { code, stdout, stderr } = await new Deno.Command("/bin/sh", {
      args: ["-c", `${line} upgrade --data-dir data${index}`],
      cwd: place.path,
      clearEnv: true,
      env: { PATH: "/usr/bin:/bin" },
    }).output();
    const decoder = new TextDecoder();
    assert.equal(code, 0, `${line}: ${decoder.decode(stderr)}`);
    assert.match(decoder.decode(stdout), /3 migrations applied/);
  }
}, noShell);

test("needs no other file and leaves none behind", async () => {
  using place = new Place(way);
  Deno.mkdirSync(place.file("temporary"));
  const env = { TMPDIR: place.file("temporary"), HOME: place.file("temporary") };
  for (const command of ["upgrade", "status", "backup", "verify --data"]) {
    await place.ok(command, { env });
  }
  assert.deepEqual(place.names("temporary"), []);
});

test("uses nothing that others put into the directory for temporary files", async () => {
  using place = new Place(way);
  Deno.mkdirSync(place.file("temporary"));
  // The default place of `deno compile` for compiled code; opening a pipe would never end.
  const planted = place.file("temporary/deno-compile-catalyst-migrate.cache");
  assert(new Deno.Command("mkfifo", { args: [planted] }).outputSync().success);
  const env = { TMPDIR: place.file("temporary") };
  const child = place.start(["upgrade"], { env }).spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), 120_000);
  const { code, signal } = await outputOf(child);
  clearTimeout(timer);
  assert.deepEqual({ code, signal }, { code: 0, signal: null });
}, noShell);

/** Actions that a migration may not do, with the permission that Deno names. */
const forbidden: Readonly<Record<string, readonly [code: string, permission: RegExp]>> = {
  "use the network": ['await fetch("http://127.0.0.1:8080/")', /net access/],
  "listen": ["Deno.listen({ port: 0 })", /net access/],
  "run a program": ['new Deno.Command("/bin/true").outputSync()', /run access/],
  "load a library": ['Deno.dlopen("/lib/libc.so", {})', /ffi access/],
  "read other variables": ['Deno.env.get("HOME")', /env access/],
  "ask about the machine": ["Deno.hostname()", /sys access/],
};

for (const [what, [code, permission]] of Object.entries(forbidden)) {
  test(`lets no migration ${what}, and rolls it back`, async () => {
    using place = new Place(way);
    place.write(
      "migrations/004_mine.js",
      `export default { database: "trading", async upgrade(transaction) {
        await transaction.exec("CREATE TABLE mine (a)");
        ${code};
      } };`,
    );
    const { stderr } = await place.ends(1, "upgrade");
    assert.match(stderr, permission);
    assert.match(stderr, /^error: Cannot apply 004_mine to trading: it requires .*\nhelp: .*Deno/m);
    assert.doesNotMatch(stderr, /deno compile/);
    assert.deepEqual(named(place, "mine"), []);
    Deno.removeSync(place.file("migrations/004_mine.js"));
    await place.ok("status --check");
  });
}

test("lets no migration use the network from another thread", async () => {
  using place = new Place(way);
  place.write(
    "migrations/004_mine.js",
    `export default { database: "trading", async upgrade() {
      const code = 'fetch("http://127.0.0.1:8080/").then(() => postMessage("reached"), ' +
        '(error) => postMessage(error.message))';
      const url = "data:text/javascript," + encodeURIComponent(code);
      const worker = new Worker(url, { type: "module" });
      throw new Error(await new Promise((resolve) => worker.onmessage = ({ data }) => resolve(data)));
    } };`,
  );
  const { stderr } = await place.ends(1, "upgrade");
  assert.match(stderr, /^error: Cannot apply 004_mine to trading: Requires net access/m);
});

test("does not prompt for a missing permission", async () => {
  using place = new Place(way);
  place.write(
    "migrations/004_mine.js",
    'export default { database: "trading", upgrade: () => fetch("http://127.0.0.1:8080/") };',
  );
  const line = [...place.command, "upgrade"].map((word) => `'${word}'`).join(" ");
  const child = new Deno.Command("script", {
    args: ["--quiet", "--return", "--echo", "never", "--command", line, "/dev/null"],
    cwd: place.path,
    clearEnv: true,
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode("y\ny\n"));
  await writer.close();
  const timer = setTimeout(() => child.kill(), 120_000); // a prompt would wait for an answer
  const { code, stdout } = await outputOf(child);
  clearTimeout(timer);
  const text = new TextDecoder().decode(stdout);
  assert.equal(code, 1, text);
  assert.match(text, /it requires net access/);
  assert.doesNotMatch(text, /Allow\?/);
}, reasonForNoTerminal());

test("imports nothing from the network", async () => {
  using place = new Place(way);
  place.write("migrations/004_mine.js", 'import "https://127.0.0.1:9/mod.js"; export default {};');
  const { stderr } = await place.ends(1, "upgrade");
  assert.match(stderr, /^error: Cannot use migrations\/004_mine\.js: /m);
  assert.deepEqual(place.names(), ["migrations"]);
});

test("has permission only to read, to write and to access its variables", async () => {
  using place = new Place(way);
  place.write(
    "migrations/004_mine.js",
    `const state = (descriptor) => Deno.permissions.querySync(descriptor).state;
    const names = ["read", "write", "env", "net", "run", "ffi", "sys", "import"];
    throw new Error(names.map((name) => name + " " + state({ name })).join());`,
  );
  const { stderr } = await place.ends(1, "upgrade");
  const states = ["read granted", "write granted", "env prompt", "net prompt", "run prompt"];
  assert.match(stderr, new RegExp([...states, "ffi prompt", "sys prompt"].join()));
});

const noProcess = Deno.build.os === "linux" ? null : "threads are listed by Linux alone";

test("copies and exports large databases on threads", async () => {
  using place = new Place(way);
  await place.ok("upgrade");
  for (const table of ["a", "b"]) {
    execute(
      place.file("data/trading.db"),
      `CREATE TABLE ${table} (text);
      WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 40000)
      INSERT INTO ${table} SELECT printf('%d %.*c', n, 1500, 'x') FROM numbers`,
    );
  }
  assert((await threadsOf(place, "backup")).has("worker-1"));
  const threads = await threadsOf(place, "export trading --out trading.sql");
  if (navigator.hardwareConcurrency > 1) assert(threads.has("worker-2"));
  assert(threads.has("worker-1"));
  await place.ok("backup verify latest");
  assert.deepEqual(place.names("data/backups").filter((name) => name.endsWith(".db")).length, 4);
  for (const name of databaseNames) assert(named(place, "catalyst_migrations", name).length > 0);
}, noProcess);

/** Names of a command's threads while it runs. */
async function threadsOf(place: Place, command: string): Promise<Set<string>> {
  const names = new Set<string>();
  const child = place.start(command.split(" ")).spawn();
  const output = outputOf(child);
  let isOver = false;
  output.then(() => isOver = true);
  while (!isOver) {
    await new Promise((resolve) => setTimeout(resolve));
    try {
      for (const { name } of Deno.readDirSync(`/proc/${child.pid}/task`)) {
        names.add(Deno.readTextFileSync(`/proc/${child.pid}/task/${name}/comm`).trim());
      }
    } catch {
      // the thread or the process has just ended
    }
  }
  const { code, stderr } = await output;
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return names;
}

function named(place: Place, name: string, database = "trading"): unknown[] {
  return query(
    place.file(`data/${database}.db`),
    `SELECT name FROM sqlite_schema WHERE name = '${name}'`,
  );
}

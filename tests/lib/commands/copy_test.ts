/** `copy` and the other commands with a database on a real server, named in `catalyst.json`. */
import { deepStrictEqual as equal, match, ok } from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import {
  cliCommand,
  contents,
  execute,
  existsSync,
  outputOf,
  query,
  runCli,
  tempDir,
} from "../../helpers.ts";
import { wasKilled } from "../../kill.ts";
import { libsqlTest, TestServer, Tokens } from "../../libsql_server.ts";

/** A directory with an own database of ten rows, which `catalyst.json` names, and one it does not. */
async function withOwn() {
  const dir = await tempDir();
  const at = (path: string) => `${dir.path}/${path}`;
  await Deno.mkdir(at("data/backups"), { recursive: true });
  const databases = { own: "own.db", other: "other.db" };
  await Deno.writeTextFile(at("catalyst.json"), JSON.stringify({ bundled: false, databases }));
  execute(
    at("data/own.db"),
    `CREATE TABLE rows (id INTEGER PRIMARY KEY);
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 10)
    INSERT INTO rows SELECT i FROM n`,
  );
  return { dir, at, copy: (to: string) => runCli(["copy", "own", to], { cwd: dir.path }) };
}

/** What a crash leaves of a database: its file and its log, which has commits. */
function leaveLog(path: string): void {
  using db = new DatabaseSync(`${path}.made`);
  db.exec("PRAGMA journal_mode = WAL; CREATE TABLE other (x); INSERT INTO other VALUES (1)");
  Deno.copyFileSync(`${path}.made-wal`, `${path}-wal`);
}

Deno.test("a copy refuses a target beside the log of a lost database, also after a link", async () => {
  const { dir, at, copy } = await withOwn();
  await using _dir = dir;
  leaveLog(at("lost.db"));
  leaveLog(at("empty.db"));
  await Deno.writeTextFile(at("empty.db"), "");
  await Deno.writeFile(at("rolled.db-journal"), new Uint8Array(512).fill(1));
  // The journal of the first transaction of a database: SQLite would empty the copy with it.
  await Deno.writeFile(at("begun.db-journal"), new Uint8Array(512).fill(1).fill(0, 16, 20));
  await Deno.mkdir(at("links"));
  await Deno.symlink("../lost.db", at("links/link.db"));
  leaveLog(at("data/other.db"));
  const before = contents(dir.path);
  for (const to of ["lost.db", "empty.db", "rolled.db", "begun.db", "links/link.db", "other"]) {
    const { code, stderr } = await copy(to);
    equal(code, 1, to);
    match(stderr, /^error: Cannot (use|copy to) .*-(wal|journal)/m);
  }
  equal(contents(dir.path), before);
});

Deno.test("a copy to a link that leads to no file yet creates that file", async () => {
  const { dir, at, copy } = await withOwn();
  await using _dir = dir;
  await Deno.mkdir(at("disk"));
  await Deno.symlink("../disk/other.db", at("data/other.db"));
  const { code, stderr } = await copy("other");
  equal(code, 0, stderr);
  ok(Deno.lstatSync(at("data/other.db")).isSymlink);
  equal(query(at("disk/other.db"), "SELECT count(*) AS n FROM rows"), [{ n: 10 }]);
});

Deno.test("a copy never takes a place that the toolkit or SQLite uses", async () => {
  const { dir, at, copy } = await withOwn();
  await using _dir = dir;
  execute(at("crash.db"), "CREATE TABLE t (x)");
  await Deno.symlink("data/migrations.restore", at("link.db"));
  await Deno.mkdir(at("migrations"));
  await Deno.writeTextFile(
    at("migrations/004_x.sql"),
    "-- database: own\n-- migrate:up\nSELECT 1;",
  );
  const before = contents(dir.path);
  for (
    const to of [
      ...["data/migrations.restore", "data/migrations.lock", "data/migrations.db-wal"],
      ...["data/own.db-wal", "data/own.db-journal", "data/other.db-shm"],
      ...["data/own.db.import.part", "data/other.db.part", "data/backups/x.db"],
      ...["crash.db-wal", "link.db", "migrations/005_x.sql", "data/../migrations/006_y.ts"],
    ]
  ) {
    const { code, stderr } = await copy(to);
    equal(code, 1, to);
    match(stderr, /^error: Cannot copy to .*: it is (the path of|among) /m);
  }
  equal(contents(dir.path), before);
});

Deno.test("a copy goes to any other new place, and to that of a missing or empty database", async () => {
  const { dir, at, copy } = await withOwn();
  await using _dir = dir;
  await Deno.writeTextFile(at("empty.db"), "");
  for (
    const to of ["new.db", "empty.db", "other", "data/migrations.db", "data/own_from_server.db"]
  ) {
    const { code, stderr } = await copy(to);
    equal(code, 0, stderr);
    const path = at(to === "other" ? "data/other.db" : to);
    equal(query(path, "SELECT count(*) AS n FROM rows"), [{ n: 10 }]);
  }
  Deno.removeSync(at("data/other.db"));
  equal((await copy("./data/other.db")).code, 0);
  ok(existsSync(at("data/other.db")));
});

Deno.test({
  name: "the next copy removes the temporary file of a killed one, but not one in use",
  ignore: Deno.build.os === "windows", // no TMPDIR
  fn: async () => {
    const { dir, at } = await withOwn();
    await using _dir = dir;
    execute(at("large.db"), "CREATE TABLE t AS SELECT randomblob(50000000) AS x");
    await Deno.mkdir(at("tmp/catalyst-migrate-others"), { recursive: true });
    const options = { cwd: dir.path, alone: true, env: { TMPDIR: at("tmp") } };
    const copies = () =>
      [...Deno.readDirSync(at("tmp"))].filter(({ name }) => existsSync(at(`tmp/${name}/copy.db`)));
    const child = cliCommand(["copy", "./large.db", "./killed.db"], options).spawn();
    const output = outputOf(child);
    let ended = false;
    output.then(() => ended = true);
    while (!ended && copies().length === 0) await new Promise((resolve) => setTimeout(resolve));
    child.kill("SIGSTOP");
    equal(copies().length, 1);
    equal((await runCli(["copy", "own", "./first.db"], options)).code, 0);
    equal(copies().length, 1);
    child.kill("SIGKILL");
    ok(wasKilled(await output));
    equal((await runCli(["copy", "own", "./second.db"], options)).code, 0);
    equal([...Deno.readDirSync(at("tmp"))].map(({ name }) => name), ["catalyst-migrate-others"]);
  },
});

libsqlTest("a database moves to a server with a token, is used there, and comes back", async () => {
  await using dir = await tempDir();
  const tokens = await Tokens.create();
  await using server = await TestServer.start({ args: await tokens.arguments(dir.path) });
  await server.create("app", "empty");
  const [address, empty] = [server.address("app"), server.address("empty")];
  const token = await tokens.sign({ a: "rw" });
  const readOnly = await tokens.sign({ a: "ro" });
  const env = { CATALYST_LIBSQL_TOKEN: "", CATALYST_LIBSQL_TOKEN_APP: "" };
  const run = async (args: readonly string[], given: Record<string, string> = {}) => {
    const result = await runCli(args, { cwd: dir.path, env: { ...env, ...given } });
    const printed = `${result.stdout}${result.stderr}`;
    ok(!printed.includes(token) && !printed.includes(readOnly), printed);
    return result;
  };
  await Deno.mkdir(`${dir.path}/data`);
  {
    using db = new DatabaseSync(`${dir.path}/data/app.db`);
    db.exec(
      `CREATE TABLE prices (day TEXT PRIMARY KEY, price REAL) STRICT;
      INSERT INTO prices VALUES ('2026-01-01', 0.0012467), ('2026-01-02', -0.0), ('x', 9e999)`,
    );
  }
  const configure = (app: string) =>
    Deno.writeTextFile(
      `${dir.path}/catalyst.json`,
      JSON.stringify({ bundled: false, databases: { app } }),
    );
  await Deno.mkdir(`${dir.path}/migrations`);
  await Deno.writeTextFile(
    `${dir.path}/migrations/001_add_volume.sql`,
    "-- database: app\n-- migrate:up\nALTER TABLE prices ADD COLUMN volume INTEGER;\n" +
      "-- migrate:down\nALTER TABLE prices DROP COLUMN volume;\n",
  );
  await configure("app.db");
  const withToken = { CATALYST_LIBSQL_TOKEN_APP: token };

  const denied = await run(["copy", "app", address, "--verbose"]);
  equal(denied.code, 1);
  ok(denied.stderr.includes("the server requires a token"), denied.stderr);
  ok(denied.stderr.includes("CATALYST_LIBSQL_TOKEN"), denied.stderr);

  const copied = await run(["copy", "app", address, "--json"], withToken);
  equal([copied.code, copied.stderr], [0, ""]);
  equal(JSON.parse(copied.stdout).to, address);

  await configure(address);
  const upgraded = await run(["upgrade"], withToken);
  equal(upgraded.code, 0, upgraded.stderr);
  // The rows were saved before the table was changed, in an ordinary local file.
  ok(upgraded.stderr.includes("napshot"), upgraded.stderr);
  const status = await run(["status", "--check"], withToken);
  equal(status.code, 0, status.stderr);
  // A read-only token is enough for reading, but not for changes.
  const looked = await run(["verify", "--data"], { CATALYST_LIBSQL_TOKEN: readOnly });
  equal(looked.code, 0, looked.stderr);
  const refused = await run(["downgrade", "--yes"], { CATALYST_LIBSQL_TOKEN: readOnly });
  equal(refused.code, 1);
  ok(refused.stderr.includes("the token only allows reading"), refused.stderr);
  const downgraded = await run(["downgrade", "--yes"], withToken);
  equal(downgraded.code, 0, downgraded.stderr);

  const back = await run(["copy", "app", "back.db", "--json"], withToken);
  equal(back.code, 0, back.stderr);
  const again = await run(["copy", "app", "back.db"], withToken);
  equal(again.code, 1);
  ok(again.stderr.includes("it exists"), again.stderr);
  const snapshot = [...Deno.readDirSync(`${dir.path}/data/backups`)]
    .map(({ name }) => name).filter((name) => /^app_.*\.db$/.test(name)).sort()[0];
  const restored = await run(["copy", `data/backups/${snapshot}`, empty, "--json"], {
    CATALYST_LIBSQL_TOKEN: token,
  });
  equal(restored.code, 0, restored.stderr);
  // It also has the table of the markers, with the lease of the migrator that took it.
  equal(
    (await run(["copy", empty, "restored.db"], { CATALYST_LIBSQL_TOKEN: token })).code,
    0,
  );
  const prices = (path: string) => query(path, "SELECT * FROM prices");
  equal(prices(`${dir.path}/restored.db`), prices(`${dir.path}/data/app.db`));
});

/** Makes a certificate authority and a certificate for localhost; null without the program `openssl`. */
async function makeCertificates(dir: string): Promise<{ cert: string; key: string } | null> {
  await Deno.writeTextFile(`${dir}/extensions`, "subjectAltName=DNS:localhost");
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  for (
    const args of [
      `req -x509 -keyout ca.key -out ca.pem -days 2 -subj /CN=ca ${curve.join(" ")}`,
      `req -keyout own.key -out own.csr -subj /CN=localhost ${curve.join(" ")}`,
      "x509 -req -in own.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions " +
      "-out own.pem",
    ]
  ) {
    try {
      const { success } = await new Deno.Command("openssl", {
        args: args.split(" "),
        cwd: dir,
        stdout: "null",
        stderr: "null",
      }).output();
      if (!success) return null;
    } catch {
      return null;
    }
  }
  return {
    cert: await Deno.readTextFile(`${dir}/own.pem`),
    key: await Deno.readTextFile(`${dir}/own.key`),
  };
}

libsqlTest(
  "a server with TLS is used if its certificate is trusted, and else refused",
  async () => {
    await using server = await (await TestServer.start()).create("app");
    await using dir = await tempDir();
    const certificates = await makeCertificates(dir.path);
    if (certificates === null) {
      // deno-lint-ignore no-console -- a skipped test must say why
      return console.warn("skipped: the program openssl can't be run");
    }
    // What stands in front of a server without TLS.
    const proxy = Deno.listenTls({ hostname: "127.0.0.1", port: 0, ...certificates });
    const proxying = (async () => {
      const all: Promise<unknown>[] = [];
      for await (const outside of proxy) {
        const inside = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
        all.push(outside.readable.pipeTo(inside.writable).catch(() => {}));
        all.push(inside.readable.pipeTo(outside.writable).catch(() => {}));
      }
      await Promise.all(all);
    })();
    execute(
      `${dir.path}/notes.db`,
      "CREATE TABLE notes (body TEXT); INSERT INTO notes VALUES ('a')",
    );
    const address = `libsql://localhost:${proxy.addr.port}?namespace=app`;
    const copy = (env: Readonly<Record<string, string>>) =>
      runCli(["copy", "notes.db", address], {
        cwd: dir.path,
        alone: true,
        env,
        permissions: [
          "--allow-read",
          "--allow-write",
          "--allow-env",
          `--allow-net=localhost:${proxy.addr.port}`,
        ],
      });
    const refused = await copy({});
    equal(refused.code, 1);
    ok(refused.stderr.includes("the TLS connection failed"), refused.stderr);
    const copied = await copy({ DENO_CERT: `${dir.path}/ca.pem` });
    equal(copied.code, 0, copied.stderr);
    proxy.close();
    server.signal("SIGKILL");
    await proxying;
  },
);

/** Each command with a database on a real server, as a user calls it. */
import { equal, match, ok } from "node:assert/strict";
import { openLibsql } from "../../../lib/database/libsql.ts";
import { parseLibsqlAddress } from "../../../lib/database/location.ts";
import { runCli, tempDir } from "../../helpers.ts";
import { libsqlTest, TestServer } from "../../libsql_server.ts";

/** A bot with a migration that is applied, some rows, and one that is pending. */
interface Bot {
  readonly dir: string;
  readonly address: string;
  /** Runs a command, which must exit with 0; returns its output. */
  run(...args: readonly string[]): Promise<string>;
  /** Runs a command that must fail; returns its output. */
  fail(...args: readonly string[]): Promise<string>;
  /** Runs SQL on the server. */
  sql(sql: string): Promise<void>;
  /** The first column of the rows of a query. */
  values(sql: string): Promise<unknown[]>;
  /** Writes a migration. */
  write(name: string, up: string, down?: string): Promise<void>;
}

async function makeBot(server: TestServer, namespace: string, dir: string): Promise<Bot> {
  await server.create(namespace);
  const address = server.address(namespace);
  const config = { bundled: false, databases: { app: address } };
  await Deno.mkdir(`${dir}/migrations`);
  await Deno.writeTextFile(`${dir}/catalyst.json`, JSON.stringify(config));
  const call = async (args: readonly string[], isRight: (code: number) => boolean) => {
    const { code, stdout, stderr } = await runCli(args, { cwd: dir });
    ok(isRight(code), `${args.join(" ")} exits with ${code}: ${stdout}${stderr}`);
    return `${stdout}${stderr}`;
  };
  const connect = () =>
    openLibsql({ address: parseLibsqlAddress(address), tokenVariables: [] }, { timeout: 20 });
  const bot: Bot = {
    dir,
    address,
    run: (...args) => call(args, (code) => code === 0),
    fail: (...args) => call(args, (code) => code !== 0),
    sql: async (sql) => {
      await using connection = await connect();
      await connection.exec(sql);
    },
    values: async (sql) => {
      await using connection = await connect();
      return (await connection.values(sql)).map(([value]) => value);
    },
    write: (name, up, down = "") =>
      Deno.writeTextFile(
        `${dir}/migrations/${name}.sql`,
        `-- database: app\n-- migrate:up\n${up}\n${down && `-- migrate:down\n${down}\n`}`,
      ),
  };
  await bot.write(
    "001_notes",
    "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT);\n" +
      "CREATE INDEX notes_body ON notes (body);",
    "DROP TABLE notes;",
  );
  await bot.run("upgrade");
  await bot.sql("INSERT INTO notes (body) VALUES ('a'), ('b'), (NULL)");
  await bot.write(
    "002_price",
    "ALTER TABLE notes ADD COLUMN price REAL;",
    "ALTER TABLE notes DROP COLUMN price;",
  );
  return bot;
}

const cases: Readonly<Record<string, (bot: Bot) => Promise<void>>> = {
  upgrade: async ({ run }) => {
    match(await run("upgrade"), /1 migration applied. `status` shows where the databases are/);
  },
  adopt: async ({ run, sql, dir }) => {
    await sql("DROP TABLE notes; DELETE FROM catalyst_migrations; CREATE TABLE own (a TEXT)");
    await Deno.remove(`${dir}/migrations`, { recursive: true });
    await Deno.mkdir(`${dir}/migrations`);
    match(await run("adopt", "app"), /recorded it as applied to app/);
    await run("status", "--check");
    await run("verify");
  },
  baseline: async ({ run, write, sql, values }) => {
    await write("002_price", "INSERT INTO notes (body) VALUES ('never');");
    match(await run("baseline", "--to", "002"), /recorded 002 as applied/);
    match(await run("upgrade"), /Nothing to apply/);
    equal((await values("SELECT body FROM notes")).includes("never"), false);
    await sql("DROP INDEX notes_body");
  },
  redo: async ({ run, values }) => {
    await run("upgrade");
    match(await run("redo", "--yes"), /redone +002_price/);
    equal((await values("SELECT id FROM notes")).length, 3);
  },
  lint: async ({ run, fail, write }) => {
    match(await run("lint"), /1 migration checked: no findings/);
    match(await run("lint"), /because it is on a server; `rehearse --data` tries them/);
    await write("003_drop", "DROP TABLE notes;");
    match(await fail("lint"), /3 rows.*table-dropped|table-dropped.*3 rows/s);
    // The SQLite here supports it, the one of the server does not.
    await write(
      "003_drop",
      "CREATE TABLE a (b CHECK (b > 1_000));\nCREATE VIEW v AS SELECT unistr(body) FROM notes;\n" +
        "CREATE TABLE c (d INTEGER) STRICT;\nCREATE INDEX i ON notes (id, body);\nANALYZE;",
      "DROP INDEX i; DROP TABLE c; DROP VIEW v; DROP TABLE a;",
    );
    const { findings } = JSON.parse(await fail("lint", "--json", "--large-table", "2"));
    equal(
      findings.map(({ code, line }: { code: string; line: number }) => `${line} ${code}`).join(),
      "3 server-refuses,4 server-refuses,6 long-lock,7 server-refuses",
    );
    match(
      findings[1].reason,
      /has SQLite 3\.45\.1, would refuse it: it has no function unistr\(\)/,
    );
    match(findings[2].reason, /another client wants to write.* after 5 s/);
    match(findings[2].fix, /^stop the programs that write/);
  },
  rehearse: async ({ run, fail, write, values }) => {
    match(
      await run("rehearse"),
      /On a copy of the schema of app, .*`--data`\s+copies\s+the\s+rows/s,
    );
    const json = JSON.parse(await run("rehearse", "--data", "--json"));
    equal(json.databases[0].withRows, true);
    equal(json.migrations[0].tables[0]?.rowsBefore ?? 3, 3);
    await write(
      "003_unique",
      "UPDATE notes SET body = 'x' WHERE id > 1;\nCREATE UNIQUE INDEX u ON notes (body);",
    );
    await run("rehearse");
    match(await fail("rehearse", "--data"), /UNIQUE constraint failed/);
    await write("003_unique", "CREATE VIEW v AS SELECT unistr(body) FROM notes;", "DROP VIEW v;");
    match(await fail("rehearse"), /would refuse it: it has no function unistr/);
    // The copy of the schema has no rows, but they are counted on the server.
    await write("003_unique", "DROP TABLE notes;");
    match(await fail("rehearse"), /`upgrade` would refuse it/);
    equal((await values("SELECT id FROM notes")).length, 3);
  },
  squash: async ({ run, dir }) => {
    await run("upgrade");
    await run("squash", "--to", "002", "--out", "squashed");
    await run("upgrade", "--migrations-dir", "squashed");
    await run("status", "--check", "--migrations-dir", "squashed");
    ok([...Deno.readDirSync(`${dir}/squashed`)].length === 1);
  },
  repair: async ({ run, fail, sql, dir }) => {
    await run("upgrade");
    await sql("DROP INDEX notes_body");
    match(await fail("verify"), /index "notes_body" on notes \(body\) is missing/);
    match(await run("repair"), /created index notes_body in app/);
    await run("verify");
    // Without the ledger the markers on the server show what is applied.
    await Deno.remove(`${dir}/data/migrations.db`);
    match(await run("repair"), /corrected the ledger for 001, 002/);
    await run("status", "--check");
  },
  doctor: async ({ run, address }) => {
    await run("upgrade");
    ok((await run("doctor")).replace(/\s+/g, " ").includes(`${address}: the server answers`));
  },
  schema: async ({ run, fail, sql, dir }) => {
    await Deno.writeTextFile(`${dir}/app.sql`, await run("schema", "app"));
    match(await run("schema", "app", "--check", "app.sql"), /matches the schema of app/);
    await sql("CREATE VIEW bodies AS SELECT body FROM notes");
    match(await fail("schema", "app", "--check", "app.sql"), /bodies/);
    match(await run("schema", "app", "--format", "typescript"), /body: string \| null/);
  },
  query: async ({ run, fail, values }) => {
    const { rows } = JSON.parse(
      await run(
        "query",
        "app",
        "SELECT id, body FROM notes WHERE id < :id",
        "--param",
        "id=3",
        "--json",
      ),
    );
    equal(JSON.stringify(rows), JSON.stringify([{ id: 1, body: "a" }, { id: 2, body: "b" }]));
    for (const sql of ["DELETE FROM notes", "SELECT 1; DELETE FROM notes"]) {
      await fail("query", "app", sql);
    }
    equal((await values("SELECT id FROM notes")).length, 3);
  },
  history: async ({ run, fail, write, address }) => {
    await write("002_price", "INSERT INTO nope VALUES (1);");
    await fail("upgrade");
    const { events } = JSON.parse(await run("history", "--json"));
    equal(events[0].outcome, "failed");
    equal(events[0].databasePath, address);
  },
  verify: async ({ run, fail, sql }) => {
    await run("upgrade");
    match(await run("verify", "--data", "--hash"), /[0-9a-f]{64}/);
    await sql(
      "PRAGMA foreign_keys = OFF; CREATE TABLE child (a REFERENCES notes (id)); INSERT INTO child VALUES (99)",
    );
    match(await fail("verify", "--data"), /child/);
  },
  export: async ({ run, dir }) => {
    await run("export", "app", "--out", "app.sql");
    match(await Deno.readTextFile(`${dir}/app.sql`), /INSERT INTO "?notes/);
    match(await run("export", "app", "--table", "notes", "--format", "csv"), /1,"a"/);
  },
};

libsqlTest("each command works with a database on a server", async (context) => {
  await using server = await TestServer.start();
  for (const [name, work] of Object.entries(cases)) {
    await context.step(name, async () => {
      await using dir = await tempDir();
      await work(await makeBot(server, name, dir.path));
    });
  }
});

libsqlTest("a report reads bundled databases on a server", async () => {
  await using server = await (await TestServer.start()).create("positions", "trading", "ml");
  await using dir = await tempDir();
  const databases = {
    positions: server.address("positions"),
    trading: server.address("trading"),
    ml_training: server.address("ml"),
  };
  await Deno.writeTextFile(`${dir.path}/catalyst.json`, JSON.stringify({ databases }));
  for (const args of [["upgrade"], ["report"], ["report", "--html", "report.html"]]) {
    const { code, stderr } = await runCli(args, { cwd: dir.path });
    equal(code, 0, `${args.join(" ")}: ${stderr}`);
  }
  match(await Deno.readTextFile(`${dir.path}/report.html`), /<html/);
});

libsqlTest("a server that can't be reached stops only what needs it", async () => {
  await using server = await (await TestServer.start()).create("far", "ledger");
  await using dir = await tempDir();
  const config = {
    bundled: false,
    timeout: 2,
    databases: { near: "near.db", far: server.address("far") },
    ledger: server.address("ledger"),
  };
  await Deno.writeTextFile(`${dir.path}/catalyst.json`, JSON.stringify(config));
  await Deno.mkdir(`${dir.path}/migrations`);
  await Deno.writeTextFile(
    `${dir.path}/migrations/001_notes.sql`,
    "-- database: near\n-- migrate:up\nCREATE TABLE notes (body TEXT);\n",
  );
  const run = async (...args: readonly string[]) => {
    const { code, stdout, stderr } = await runCli(args, { cwd: dir.path });
    return { code, text: `${stdout}${stderr}` };
  };
  equal((await run("upgrade")).code, 0);
  server.signal("SIGKILL");
  await server.ended();
  const status = await run("status");
  equal(status.code, 1);
  match(status.text, /warning: Cannot reach .*namespace=ledger: the connection was refused/);
  match(status.text, /warning: Cannot reach .*namespace=far: the connection was refused/);
  match(status.text, /near +data\/near.db/);
  const backup = await run("backup");
  equal(backup.code, 1);
  match(backup.text, /near_\S+\.db/);
  match(backup.text, /the snapshot lacks far: Cannot reach/);
  match(backup.text, /the snapshot lacks migrations: Cannot reach/);
  equal((await run("export", "near", "--out", "near.sql")).code, 0);
  match((await run("doctor")).text, /server-unreachable/);
});

import assert from "node:assert/strict";
import { Migrator } from "../../../lib/migrator.ts";
import { parseSchema } from "../../../lib/schema/document.ts";
import { NeededObjects } from "../../../lib/trial/lint.ts";
import { defineMigration, type Migration } from "../../../lib/migration/migration.ts";
import { TemporaryDirectory } from "../support.ts";

function migrations(count: number, upgrade: (place: number) => Migration["upgrade"]): Migration[] {
  return Array.from({ length: count }, (_, place) =>
    defineMigration({
      name: `${String(place + 1).padStart(4, "0")}_step`,
      database: "app",
      upgrade: upgrade(place),
      downgrade: `DROP TABLE t${place}`,
    }));
}

/** Names of the tables dropped in between, by the migration after which they are dropped. */
async function droppedOf(
  list: readonly Migration[],
  made: (place: number) => string,
): Promise<{ readonly most: number; readonly dropped: ReadonlySet<string> }> {
  const needed = new NeededObjects(list);
  const live = new Map<string, string>();
  const dropped = new Set<string>();
  let most = 0;
  for (let place = 0; place < list.length; place++) {
    live.set(`t${place}`, made(place));
    const { schema } = await parseSchema([...live.values()].join(";\n"));
    for (const name of needed.needless(schema, place)) {
      live.delete(name);
      dropped.add(name);
    }
    most = Math.max(most, live.size);
  }
  return { most, dropped };
}

Deno.test("tables that no later migration names are dropped, so that few exist at a time", async () => {
  const make = (place: number) => `CREATE TABLE t${place} (a)`;
  const { most, dropped } = await droppedOf(migrations(130, make), make);
  assert.ok(most <= 64, String(most));
  assert.ok(dropped.size >= 60);
});

Deno.test("objects that a later migration names are kept, and everything connected with them", async () => {
  const make = (place: number) =>
    `CREATE TABLE t${place} (a${place > 0 && place < 5 ? ` REFERENCES t${place - 1}` : ""})`;
  const list = migrations(100, (place) => place === 99 ? 'ALTER TABLE "T2" ADD b' : make(place));
  const { dropped } = await droppedOf(list, make);
  for (const name of ["t0", "t1", "t2", "t3", "t4"]) assert.ok(!dropped.has(name), name);
  assert.ok(dropped.has("t5"));
});

Deno.test("before a migration that is a function everything is kept", async () => {
  const make = (place: number) => `CREATE TABLE t${place} (a)`;
  const list = migrations(80, (place) => place === 79 ? () => {} : make(place));
  assert.equal((await droppedOf(list, make)).most, 79);
});

Deno.test("among many migrations lint finds what one of the last does to one of the first", async () => {
  using place = new TemporaryDirectory();
  const list = migrations(
    200,
    (at) =>
      at === 199
        ? "DROP TABLE t3"
        : `CREATE TABLE t${at} (a); CREATE INDEX i${at} ON t${at} (a); INSERT INTO t${at} VALUES (1)`,
  );
  const migrator = new Migrator({
    databases: { app: place.file("app.db") },
    ledger: place.file("migrations.db"),
    migrations: list,
  });
  const { findings, checked } = await migrator.lint();
  assert.equal(checked.length, 200);
  const last = findings.filter(({ migration }) => migration === "0200_step");
  assert.match(last.map(({ reason }) => reason).join("\n"), /t3/);
  assert.deepEqual(findings.filter(({ migration }) => migration !== "0200_step"), []);
});

Deno.test("on a copy of the rows, too, few tables exist at a time", async () => {
  using place = new TemporaryDirectory();
  const list = migrations(
    200,
    (at) =>
      at === 199
        ? "CREATE TABLE t199 (n CHECK (n < 150)); INSERT INTO t199 SELECT count(*) FROM sqlite_schema"
        : `CREATE TABLE t${at} (id INTEGER PRIMARY KEY${at % 2 ? ` REFERENCES t${at - 1}` : ""});
          CREATE VIEW v${at} AS SELECT * FROM t${at}; INSERT INTO t${at} VALUES (1)`,
  ).map((one, at) =>
    at === 199 ? one : { ...one, downgrade: `DROP VIEW v${at}; DROP TABLE t${at}` }
  );
  const migratorOf = (migrations: readonly Migration[]) =>
    new Migrator({
      databases: { app: place.file("app.db") },
      ledger: place.file("migrations.db"),
      migrations,
    });
  await migratorOf(list.slice(0, 1)).upgrade();
  const { findings, untried } = await migratorOf(list).lint();
  assert.deepEqual([findings, untried], [[], []]);
});

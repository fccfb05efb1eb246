import assert from "node:assert/strict";
import { openMemory } from "../../../lib/database/open.ts";
import { FormatError } from "../../../lib/base/errors.ts";
import {
  createMarkerTable,
  deleteMarker,
  hasMarker,
  readMarkers,
  writeMarker,
} from "../../../lib/state/marker.ts";
import { version } from "../../../lib/base/version.ts";
import { migrationOf } from "../support.ts";

const migration = migrationOf({
  name: "001_a",
  upgrade: "CREATE TABLE a (b)",
  downgrade: "DROP TABLE a",
});

const DETAILS = { appliedAt: 1_700_000_000, durationSeconds: 0.5, checksum: "abc" };

Deno.test("a new database has no markers and no tables", async () => {
  await using db = openMemory();
  assert.deepEqual(await readMarkers(db), { markers: null, hasTables: false });
  assert.equal(await hasMarker(db, "001"), null);
});

Deno.test("a program's temporary trigger that changes the markers is refused", async () => {
  await using db = openMemory();
  await createMarkerTable(db);
  await db.exec(
    `CREATE TEMP TRIGGER mine AFTER INSERT ON main.catalyst_migrations
    BEGIN UPDATE catalyst_migrations SET adopted = 1; END`,
  );
  await assert.rejects(writeMarker(db, migration, DETAILS), /it has the trigger "mine"/);
});

Deno.test("a marker is read back unchanged until it is removed", async () => {
  await using db = openMemory();
  await createMarkerTable(db);
  await createMarkerTable(db);
  assert.equal(await hasMarker(db, "001"), false);
  await writeMarker(db, migration, DETAILS);
  assert.equal(await hasMarker(db, "001"), true);
  assert.deepEqual(await readMarkers(db), {
    markers: [{
      id: "001",
      name: "001_a",
      appliedAt: 1_700_000_000,
      durationSeconds: 0.5,
      upgradeSql: "CREATE TABLE a (b)",
    }],
    hasTables: false,
  });
  await deleteMarker(db, "001");
  assert.deepEqual(await readMarkers(db), { markers: [], hasTables: false });
});

Deno.test("a marker stores both texts, the checksum, its origin and the version", async () => {
  await using db = openMemory();
  await createMarkerTable(db);
  await writeMarker(db, { ...migration, foreignKeys: false }, {
    ...DETAILS,
    durationSeconds: null,
  });
  assert.deepEqual({ ...await db.get("SELECT * FROM catalyst_migrations") }, {
    migration_id: "001",
    migration_name: "001_a",
    applied_at: 1_700_000_000,
    duration_seconds: null,
    checksum: "abc",
    upgrade_sql: "CREATE TABLE a (b)",
    downgrade_sql: "DROP TABLE a",
    foreign_keys: 0,
    adopted: 1,
    toolkit_version: version,
  });
});

Deno.test("the marker of a function has no text and no checksum", async () => {
  await using db = openMemory();
  await createMarkerTable(db);
  const { id } = migration;
  await writeMarker(db, { ...migration, upgrade: () => {} }, { ...DETAILS, checksum: null });
  const row = await db.get("SELECT checksum, upgrade_sql FROM catalyst_migrations");
  assert.deepEqual({ ...row }, { checksum: null, upgrade_sql: null });
  assert.equal((await readMarkers(db)).markers?.[0]?.id, id);
});

Deno.test("markers are read in the order they were written", async () => {
  await using db = openMemory();
  await createMarkerTable(db);
  for (const name of ["10_b", "2_a", "1_c"]) {
    await writeMarker(db, migrationOf({ name }), DETAILS);
  }
  const { markers } = await readMarkers(db);
  assert.deepEqual(markers?.map(({ id }) => id), ["10", "2", "1"]);
});

Deno.test("SQLite's internal tables do not count as tables; any other table or view does", async () => {
  await using db = openMemory();
  await db.exec("CREATE TABLE a (b INTEGER PRIMARY KEY AUTOINCREMENT); DROP TABLE a");
  assert.equal((await readMarkers(db)).hasTables, false);
  await db.exec("CREATE VIEW v AS SELECT 1");
  assert.equal((await readMarkers(db)).hasTables, true);
  await db.exec("DROP VIEW v; CREATE TABLE sqlitely (b)");
  assert.equal((await readMarkers(db)).hasTables, true);
});

Deno.test("another tool's table with the marker table's name is refused, and the help says what to do", async () => {
  await using db = openMemory();
  await db.exec("CREATE TABLE catalyst_migrations (version TEXT PRIMARY KEY)");
  for (const attempt of [readMarkers(db), hasMarker(db, "001")]) {
    await assert.rejects(attempt, (error) => {
      assert(error instanceof FormatError);
      assert.match(error.help ?? "", /ALTER TABLE catalyst_migrations RENAME TO/);
      return true;
    });
  }
});

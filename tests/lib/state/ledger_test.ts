import assert from "node:assert/strict";
import { openMemory } from "../../../lib/database/open.ts";
import { FormatError } from "../../../lib/base/errors.ts";
import {
  addEvent,
  createLedger,
  type EventFilter,
  type HistoryRow,
  type NewEvent,
  readEvents,
  readLedger,
  removeHistory,
  setHistory,
} from "../../../lib/state/ledger.ts";
import { version } from "../../../lib/base/version.ts";

const ROW: HistoryRow = {
  id: "001",
  name: "001_a",
  databasePath: "data/app.db",
  appliedAt: 1_700_000_000,
  durationSeconds: 0.25,
  status: "applied",
  error: null,
};

const EVENT: Required<NewEvent> = {
  id: "001",
  name: "001_a",
  database: "app",
  databasePath: "data/app.db",
  direction: "upgrade",
  outcome: "started",
  startedAt: 1_700_000_000,
  endedAt: null,
  durationSeconds: null,
  error: null,
  checksum: null,
  detail: null,
};

Deno.test("migration_history is exactly the table that other tools read", async () => {
  await using db = openMemory();
  await createLedger(db);
  const row = await db.get("SELECT sql FROM sqlite_schema WHERE name = 'migration_history'");
  const columns = String(row?.["sql"]).replace(/\s+/g, " ");
  assert.equal(
    columns,
    "CREATE TABLE migration_history ( migration_id TEXT PRIMARY KEY, migration_name TEXT NOT NULL, " +
      "database_path TEXT NOT NULL, applied_at INTEGER NOT NULL, applied_date TEXT NOT NULL, " +
      "duration_seconds REAL, status TEXT NOT NULL CHECK(status IN ('applied', 'rolled_back', 'failed')), " +
      "error_message TEXT )",
  );
});

Deno.test("an empty database is an empty ledger", async () => {
  await using db = openMemory();
  const { history, interruptedDowngrades } = await readLedger(db);
  assert.equal(history.size + interruptedDowngrades.size, 0);
  assert.deepEqual(await readEvents(db, { limit: 5 }), []);
});

Deno.test("a row is read back unchanged, with its time also as UTC text", async () => {
  await using db = openMemory();
  await createLedger(db);
  await setHistory(db, ROW);
  assert.deepEqual((await readLedger(db)).history, new Map([["001", ROW]]));
  const date = await db.get("SELECT applied_date FROM migration_history");
  assert.equal(date?.["applied_date"], "2023-11-14 22:13:20");
  await removeHistory(db, "001");
  assert.equal((await readLedger(db)).history.size, 0);
});

Deno.test("a failure never replaces an applied row; all other changes are made", async () => {
  await using db = openMemory();
  await createLedger(db);
  const statusAfter = async (status: HistoryRow["status"]) => {
    await setHistory(db, { ...ROW, status, error: status === "failed" ? "why" : null });
    return (await readLedger(db)).history.get("001")?.status;
  };
  assert.equal(await statusAfter("failed"), "failed");
  assert.equal(await statusAfter("applied"), "applied");
  assert.equal(await statusAfter("failed"), "applied");
  assert.equal((await readLedger(db)).history.get("001")?.error, null);
  assert.equal(await statusAfter("rolled_back"), "rolled_back");
  assert.equal(await statusAfter("failed"), "failed");
});

Deno.test("events are read newest first, unchanged, with the toolkit's version", async () => {
  await using db = openMemory();
  await createLedger(db);
  await addEvent(db, EVENT);
  const ended: NewEvent = {
    ...EVENT,
    outcome: "failed",
    endedAt: 1_700_000_001,
    durationSeconds: 1.5,
    error: 'near "x": syntax error',
    checksum: "abc",
    detail: "é 🚀",
  };
  await addEvent(db, ended);
  assert.deepEqual(await readEvents(db, { limit: 9 }), [
    { ...ended, toolkitVersion: version },
    { ...EVENT, toolkitVersion: version },
  ]);
  assert.equal((await readEvents(db, { limit: 1 })).length, 1);
});

Deno.test("events are filtered by migration, by database, and by outcomes since a time", async () => {
  await using db = openMemory();
  await createLedger(db);
  const second = { id: "002", name: "002_b", database: "other", outcome: "applied" } as const;
  const events: readonly NewEvent[] = [
    EVENT,
    { ...EVENT, outcome: "applied" },
    { ...EVENT, ...second, startedAt: EVENT.startedAt + 60 },
  ];
  for (const event of events) await addEvent(db, event);
  const found = async (filter: Partial<EventFilter>) =>
    (await readEvents(db, { limit: 9, ...filter })).map(({ id, outcome }) => `${id} ${outcome}`);
  assert.deepEqual(await found({ migration: "1" }), ["001 applied", "001 started"]);
  assert.deepEqual(await found({ migration: "002_b" }), ["002 applied"]);
  assert.deepEqual(await found({ database: "other" }), ["002 applied"]);
  assert.deepEqual(await found({ outcomesSince: EVENT.startedAt }), ["002 applied", "001 applied"]);
  assert.deepEqual(await found({ outcomesSince: EVENT.startedAt + 1 }), ["002 applied"]);
});

Deno.test("events can be neither changed nor deleted", async () => {
  await using db = openMemory();
  await createLedger(db);
  await addEvent(db, EVENT);
  await assert.rejects(
    db.exec("UPDATE migration_events SET outcome = 'applied'"),
    /only ever added to/,
  );
  await assert.rejects(db.exec("DELETE FROM migration_events"), /only ever added to/);
  await assert.rejects(
    db.exec("INSERT OR REPLACE INTO migration_events SELECT * FROM migration_events"),
    /only ever added to/,
  );
});

Deno.test("a rollback counts as interrupted while its start is the last event of its migration", async () => {
  await using db = openMemory();
  await createLedger(db);
  const interrupted = async () => [...(await readLedger(db)).interruptedDowngrades];
  await addEvent(db, EVENT);
  assert.deepEqual(await interrupted(), []);
  await addEvent(db, { ...EVENT, direction: "downgrade" });
  await addEvent(db, { ...EVENT, id: "002", name: "002_b" });
  assert.deepEqual(await interrupted(), ["001"]);
  await addEvent(db, { ...EVENT, direction: "downgrade", outcome: "rolled_back" });
  assert.deepEqual(await interrupted(), []);
});

Deno.test("creating a ledger again keeps its content, and adds the events table to one of an earlier version", async () => {
  await using db = openMemory();
  await createLedger(db);
  await setHistory(db, ROW);
  await db.exec("DROP TABLE migration_events; PRAGMA user_version = 0");
  assert.equal((await readLedger(db)).history.size, 1);
  await createLedger(db);
  await addEvent(db, EVENT);
  assert.deepEqual((await readLedger(db)).history.get("001"), ROW);
});

Deno.test("a ledger in a newer format is neither read nor changed", async () => {
  await using db = openMemory();
  await db.exec("PRAGMA user_version = 99");
  await assert.rejects(readLedger(db), FormatError);
  await assert.rejects(createLedger(db), FormatError);
  const tables = await db.get("SELECT count(*) AS tables FROM sqlite_schema");
  assert.equal(tables?.["tables"], 0);
});

import type { Connection } from "./database/connection.ts";
import { checkFormat, type HistoryRow, LEDGER_FORMAT, type NewEvent } from "./state/ledger.ts";
import { version } from "./base/version.ts";

/** Creates the ledger's tables where they are missing; runs inside the caller's transaction. */
export async function createLedger(connection: Connection): Promise<void> {
  await checkFormat(connection);
  await connection.exec(
    `CREATE TABLE IF NOT EXISTS migration_history (
        migration_id TEXT PRIMARY KEY,
        migration_name TEXT NOT NULL,
        database_path TEXT NOT NULL,
        applied_at INTEGER NOT NULL,
        applied_date TEXT NOT NULL,
        duration_seconds REAL,
        status TEXT NOT NULL CHECK(status IN ('applied', 'rolled_back', 'failed')),
        error_message TEXT
    );
    CREATE TABLE IF NOT EXISTS migration_events (
        event_id INTEGER PRIMARY KEY AUTOINCREMENT,
        migration_id TEXT NOT NULL,
        migration_name TEXT NOT NULL,
        database_name TEXT NOT NULL,
        database_path TEXT NOT NULL,
        direction TEXT NOT NULL,      -- upgrade, downgrade, adopt, reconcile, repair or restore
        outcome TEXT NOT NULL,        -- started, applied, rolled_back, failed or pending
        started_at INTEGER NOT NULL,  -- Unix epoch seconds
        ended_at INTEGER,             -- Unix epoch seconds; NULL while under way
        duration_seconds REAL,
        error_message TEXT,
        checksum TEXT,                -- SHA-256 of the SQL; NULL for a function
        detail TEXT,
        toolkit_version TEXT NOT NULL
    );
    CREATE INDEX IF NOT EXISTS idx_migration_events_migration
    ON migration_events (migration_id, event_id);
    CREATE TRIGGER IF NOT EXISTS migration_events_keep_update
    BEFORE UPDATE ON migration_events
    BEGIN
        SELECT RAISE(ABORT, 'migration_events is only ever added to');
    END;
    CREATE TRIGGER IF NOT EXISTS migration_events_keep_replace
    BEFORE INSERT ON migration_events
    WHEN EXISTS (SELECT 1 FROM migration_events WHERE event_id = NEW.event_id)
    BEGIN
        SELECT RAISE(ABORT, 'migration_events is only ever added to');
    END;
    CREATE TRIGGER IF NOT EXISTS migration_events_keep_delete
    BEFORE DELETE ON migration_events
    BEGIN
        SELECT RAISE(ABORT, 'migration_events is only ever added to');
    END;
    PRAGMA user_version = ${LEDGER_FORMAT};`,
  );
}

/** Adds an event. */
export async function addEvent(connection: Connection, event: NewEvent): Promise<void> {
  await connection.run(
    `INSERT INTO migration_events (
        migration_id, migration_name, database_name, database_path, direction, outcome, started_at,
        ended_at, duration_seconds, error_message, checksum, detail, toolkit_version
    ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    [
      event.id,
      event.name,
      event.database,
      event.databasePath,
      event.direction,
      event.outcome,
      event.startedAt,
      event.endedAt,
      event.durationSeconds,
      event.error,
      event.checksum,
      event.detail,
      version,
    ],
  );
}

/** Something that was done to a whole database, and not to one migration. */
export type Occurrence = Pick<
  NewEvent,
  "name" | "database" | "databasePath" | "direction" | "detail"
>;

/** Adds the event of something that was done to a whole database just now. */
export async function addOccurrence(connection: Connection, occurrence: Occurrence): Promise<void> {
  const now = Math.floor(Date.now() / 1000);
  await addEvent(connection, {
    id: "-",
    outcome: "applied",
    startedAt: now,
    endedAt: now,
    durationSeconds: null,
    error: null,
    checksum: null,
    ...occurrence,
  });
}

/** Sets what `migration_history` says of a migration. A failure never replaces an applied row. */
export async function setHistory(connection: Connection, row: HistoryRow): Promise<void> {
  await connection.run(
    `INSERT INTO migration_history (
        migration_id, migration_name, database_path, applied_at, applied_date,
        duration_seconds, status, error_message
    ) VALUES (?1, ?2, ?3, ?4, datetime(?4, 'unixepoch'), ?5, ?6, ?7)
    ON CONFLICT (migration_id) DO UPDATE SET
        migration_name = excluded.migration_name,
        database_path = excluded.database_path,
        applied_at = excluded.applied_at,
        applied_date = excluded.applied_date,
        duration_seconds = excluded.duration_seconds,
        status = excluded.status,
        error_message = excluded.error_message
    WHERE NOT (status = 'applied' AND excluded.status = 'failed')`,
    [row.id, row.name, row.databasePath, row.appliedAt, row.durationSeconds, row.status, row.error],
  );
}

/** Removes a migration from `migration_history`: it is not in its database. The events stay. */
export async function removeHistory(connection: Connection, id: string): Promise<void> {
  await connection.run("DELETE FROM migration_history WHERE migration_id = ?", [id]);
}

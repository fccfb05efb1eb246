import { damagedRow } from "./marker.ts";
import { FormatError } from "../base/errors.ts";
import { version } from "../base/version.ts";
import {
  type Connection,
  number,
  numberOrNull,
  readPragma,
  type Row,
  text,
  textOrNull,
} from "../database/connection.ts";

/** Format of the ledger that this version writes, stored in `user_version`. */
const LEDGER_FORMAT = 1;

/** State of a migration in `migration_history`. */
type HistoryStatus = "applied" | "rolled_back" | "failed";

/** A row of `migration_history`: the last outcome of a migration. */
export interface HistoryRow {
  readonly id: string;
  readonly name: string;
  readonly databasePath: string;
  /** Unix epoch seconds. */
  readonly appliedAt: number;
  readonly durationSeconds: number | null;
  readonly status: HistoryStatus;
  readonly error: string | null;
}

/** What an event did: run, undo or adopt a migration, or correct the ledger. */
export type Direction =
  | "upgrade"
  | "downgrade"
  | "adopt"
  | "reconcile"
  | "repair"
  | "restore"
  | "import";

/** Outcome of an event. */
export type Outcome = "started" | "applied" | "rolled_back" | "failed" | "pending";

/** A row of `migration_events`, which is append-only. */
export interface LedgerEvent {
  /** Id of the migration, such as `001`. */
  readonly id: string;
  /** Name of the migration. */
  readonly name: string;
  /** Name of its database. */
  readonly database: string;
  /** Path of the database at that time. */
  readonly databasePath: string;
  /** What was done. */
  readonly direction: Direction;
  /** Its outcome. */
  readonly outcome: Outcome;
  /** Unix epoch seconds. */
  readonly startedAt: number;
  /** Unix epoch seconds; null while it is running. */
  readonly endedAt: number | null;
  /** Duration in seconds; null if unknown. */
  readonly durationSeconds: number | null;
  /** Message of the failure; null if there was none. */
  readonly error: string | null;
  /** SHA-256 of the SQL that was run; null for a function. */
  readonly checksum: string | null;
  /** Additional details, such as the former row of the ledger. */
  readonly detail: string | null;
  /** Version of the toolkit that wrote the event. */
  readonly toolkitVersion: string;
}

/** An event to write. Default: an event of a whole database that has succeeded just now. */
export type NewEvent =
  & Pick<LedgerEvent, "name" | "database" | "databasePath" | "direction" | "detail">
  & Partial<Omit<LedgerEvent, "toolkitVersion">>;

/** Content of the ledger. */
export interface LedgerState {
  /** Rows of `migration_history` by migration id. */
  readonly history: ReadonlyMap<string, HistoryRow>;
  /** Ids of migrations whose last event is the start of a rollback. */
  readonly interruptedDowngrades: ReadonlySet<string>;
}

/** The state of a missing ledger. */
export const emptyLedger: LedgerState = { history: new Map(), interruptedDowngrades: new Set() };

/**
 * Reads the ledger; one created by the earlier system has no events.
 *
 * @throws {FormatError} if a newer version of the toolkit wrote it.
 */
export async function readLedger(connection: Connection): Promise<LedgerState> {
  try {
    return await readRows(connection);
  } catch (error) {
    throw damagedRow(error, connection, "the ledger");
  }
}

async function readRows(connection: Connection): Promise<LedgerState> {
  await checkFormat(connection);
  const tables = new Set(
    (await connection.all(
      "SELECT name FROM sqlite_schema WHERE name IN ('migration_history', 'migration_events')",
    )).map((row) => text(row, "name")),
  );
  const history = tables.has("migration_history")
    ? await connection.all(
      `SELECT migration_id, migration_name, database_path, applied_at, duration_seconds, status, error_message
      FROM migration_history`,
    )
    : [];
  const interrupted = tables.has("migration_events")
    ? await connection.all(
      `SELECT migration_id
      FROM migration_events AS event
      WHERE direction = 'downgrade' AND outcome = 'started'
        AND NOT EXISTS (
            SELECT 1 FROM migration_events AS later
            WHERE later.migration_id = event.migration_id AND later.event_id > event.event_id
        )`,
    )
    : [];
  return {
    history: new Map(history.map((row) => [text(row, "migration_id"), toHistoryRow(row)])),
    interruptedDowngrades: new Set(interrupted.map((row) => text(row, "migration_id"))),
  };
}

/** Which events to read. */
export interface EventFilter {
  /** Maximum number of events. */
  readonly limit: number;
  /** Id or name of a migration. Default: all migrations. */
  readonly migration?: string;
  /** Name of a database. Default: all databases. */
  readonly database?: string;
  /** Only outcomes, without starts, since this time in Unix epoch seconds. Default: all events. */
  readonly outcomesSince?: number;
}

/** Reads the newest events first. */
export async function readEvents(
  connection: Connection,
  { limit, migration, database, outcomesSince }: EventFilter,
): Promise<LedgerEvent[]> {
  const tables = await connection.all(
    "SELECT 1 FROM sqlite_schema WHERE name = 'migration_events'",
  );
  if (tables.length === 0) return [];
  const rows = await connection.all(
    `SELECT
        migration_id, migration_name, database_name, database_path, direction, outcome, started_at,
        ended_at, duration_seconds, error_message, checksum, detail, toolkit_version
    FROM migration_events
    WHERE (?2 IS NULL OR ltrim(?2, '0') IN (ltrim(migration_id, '0'), ltrim(migration_name, '0')))
      AND (?3 IS NULL OR database_name = ?3)
      AND (?4 IS NULL OR (outcome <> 'started' AND started_at >= ?4))
    ORDER BY event_id DESC
    LIMIT ?1`,
    [limit, migration ?? null, database ?? null, outcomesSince ?? null],
  );
  try {
    return rows.map(toEvent);
  } catch (error) {
    throw damagedRow(error, connection, "migration_events");
  }
}

/**
 * Makes sure that this version knows the ledger's format.
 *
 * @throws {FormatError} if a newer version of the toolkit wrote it.
 */
async function checkFormat(connection: Connection): Promise<void> {
  const format = Number(await readPragma(connection, "user_version"));
  if (format > LEDGER_FORMAT) {
    throw new FormatError(
      `Cannot use the ledger ${connection.label}: its format is ${format}, and this version knows ${LEDGER_FORMAT}`,
      { help: "a newer catalyst-migrate wrote it: update this one. Nothing was changed." },
    );
  }
}

function toHistoryRow(row: Row): HistoryRow {
  return {
    id: text(row, "migration_id"),
    name: text(row, "migration_name"),
    databasePath: text(row, "database_path"),
    appliedAt: number(row, "applied_at"),
    durationSeconds: numberOrNull(row, "duration_seconds"),
    status: text(row, "status") as HistoryStatus, // guaranteed by the table's check
    error: textOrNull(row, "error_message"),
  };
}

function toEvent(row: Row): LedgerEvent {
  return {
    id: text(row, "migration_id"),
    name: text(row, "migration_name"),
    database: text(row, "database_name"),
    databasePath: text(row, "database_path"),
    direction: text(row, "direction") as Direction,
    outcome: text(row, "outcome") as Outcome,
    startedAt: number(row, "started_at"),
    endedAt: numberOrNull(row, "ended_at"),
    durationSeconds: numberOrNull(row, "duration_seconds"),
    error: textOrNull(row, "error_message"),
    checksum: textOrNull(row, "checksum"),
    detail: textOrNull(row, "detail"),
    toolkitVersion: text(row, "toolkit_version"),
  };
}

/** Creates the ledger's missing tables; runs inside the caller's transaction. */
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
  const now = Math.floor(Date.now() / 1000);
  await connection.run(
    `INSERT INTO migration_events (
        migration_id, migration_name, database_name, database_path, direction, outcome, started_at,
        ended_at, duration_seconds, error_message, checksum, detail, toolkit_version
    ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    [
      event.id ?? "-",
      event.name,
      event.database,
      event.databasePath,
      event.direction,
      event.outcome ?? "applied",
      event.startedAt ?? now,
      event.endedAt === undefined ? now : event.endedAt,
      event.durationSeconds ?? null,
      event.error ?? null,
      event.checksum ?? null,
      event.detail,
      version,
    ],
  );
}

/** Sets the row of a migration in `migration_history`. A failure never replaces an applied row. */
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

/** Removes a migration that is not in its database from `migration_history`. The events are kept. */
export async function removeHistory(connection: Connection, id: string): Promise<void> {
  await connection.run("DELETE FROM migration_history WHERE migration_id = ?", [id]);
}

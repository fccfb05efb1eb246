import { checksum, sqlOf } from "./checksum.ts";
import type { Connection } from "./database/connection.ts";
import { number, numberOrNull, type Row, text, textOrNull } from "./database/row.ts";
import { FormatError } from "./errors.ts";
import type { Migration } from "./migration.ts";
import { version } from "./version.ts";

/** Name of the table that holds the markers in each database. */
export const MARKER_TABLE = "schema_migrations";

/** A row of `schema_migrations`: this migration is in this database. */
export interface Marker {
  /** Id of the migration, such as `001`. */
  readonly id: string;
  /** Name of the migration. */
  readonly name: string;
  /** When it was applied or adopted, in Unix epoch seconds. */
  readonly appliedAt: number;
  /** How long it took, in seconds; null where it was adopted. */
  readonly durationSeconds: number | null;
  /** The upgrade's text as applied; null where it was a function. */
  readonly upgradeSql: string | null;
}

/** What a database says of itself. */
export interface MarkerState {
  /** Its markers in the order in which they were written; null where it has no marker table. */
  readonly markers: readonly Marker[] | null;
  /** Whether it has any table besides. */
  readonly hasTables: boolean;
}

/** Reads the markers of a database. */
export async function readMarkers(connection: Connection): Promise<MarkerState> {
  const counts = await connection.get(
    `SELECT
        count(*) FILTER (WHERE name = '${MARKER_TABLE}') AS marker_tables,
        count(*) FILTER (WHERE name <> '${MARKER_TABLE}' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\') AS tables
    FROM sqlite_schema
    WHERE type = 'table'`,
  );
  const hasTables = counts !== undefined && number(counts, "tables") > 0;
  if (counts === undefined || number(counts, "marker_tables") === 0) {
    return { markers: null, hasTables };
  }
  try {
    const rows = await connection.all(
      `SELECT migration_id, migration_name, applied_at, duration_seconds, upgrade_sql
      FROM ${MARKER_TABLE}
      ORDER BY rowid`,
    );
    return { markers: rows.map(toMarker), hasTables };
  } catch (error) {
    throw foreignTable(connection, error);
  }
}

/** Whether a database has the marker of a migration; null where it has no marker table. */
export async function hasMarker(connection: Connection, id: string): Promise<boolean | null> {
  try {
    const row = await connection.get(`SELECT 1 FROM ${MARKER_TABLE} WHERE migration_id = ?`, [id]);
    return row !== undefined;
  } catch (error) {
    if (error instanceof Error && /no such table/.test(error.message)) return null;
    throw foreignTable(connection, error);
  }
}

/** Creates the marker table where there is none; runs inside the caller's transaction. */
export async function createMarkerTable(connection: Connection): Promise<void> {
  await connection.exec(
    `CREATE TABLE IF NOT EXISTS ${MARKER_TABLE} (
        migration_id TEXT NOT NULL,
        migration_name TEXT NOT NULL,
        applied_at INTEGER NOT NULL,    -- Unix epoch seconds
        duration_seconds REAL,          -- NULL where the migration was adopted
        checksum TEXT,                  -- SHA-256 of the upgrade; NULL where it is a function
        upgrade_sql TEXT,               -- as applied; NULL where it is a function
        downgrade_sql TEXT,             -- NULL where there is none, or it is a function
        foreign_keys INTEGER NOT NULL,  -- 0 where the migration runs with enforcement off
        adopted INTEGER NOT NULL,       -- 1 where the schema was there already
        toolkit_version TEXT NOT NULL,
        CONSTRAINT ${MARKER_TABLE}_key PRIMARY KEY (migration_id)
    )`,
  );
}

/** When and how a migration came into a database. */
export interface MarkerDetails {
  /** Unix epoch seconds. */
  readonly appliedAt: number;
  /** Seconds; null where the migration was adopted. */
  readonly durationSeconds: number | null;
}

/** Writes the marker of a migration; runs inside the migration's own transaction. */
export async function writeMarker(
  connection: Connection,
  migration: Migration,
  details: MarkerDetails,
): Promise<void> {
  const upgrade = sqlOf(migration.upgrade);
  await connection.run(
    `INSERT INTO ${MARKER_TABLE} (
        migration_id, migration_name, applied_at, duration_seconds, checksum,
        upgrade_sql, downgrade_sql, foreign_keys, adopted, toolkit_version
    ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    [
      migration.id,
      migration.name,
      details.appliedAt,
      details.durationSeconds,
      upgrade === null ? null : await checksum(upgrade),
      upgrade,
      sqlOf(migration.downgrade),
      migration.foreignKeys === false ? 0 : 1,
      details.durationSeconds === null ? 1 : 0,
      version,
    ],
  );
}

/** Removes the marker of a migration; runs inside the rollback's own transaction. */
export async function deleteMarker(connection: Connection, id: string): Promise<void> {
  await connection.run(`DELETE FROM ${MARKER_TABLE} WHERE migration_id = ?`, [id]);
}

function toMarker(row: Row): Marker {
  return {
    id: text(row, "migration_id"),
    name: text(row, "migration_name"),
    appliedAt: number(row, "applied_at"),
    durationSeconds: numberOrNull(row, "duration_seconds"),
    upgradeSql: textOrNull(row, "upgrade_sql"),
  };
}

function foreignTable(connection: Connection, error: unknown): unknown {
  if (!(error instanceof Error) || !/no such column/.test(error.message)) return error;
  return new FormatError(
    `Cannot read ${connection.label}: its table ${MARKER_TABLE} was made by another tool or version`,
    {
      cause: error,
      help: `if you no longer use that tool, rename the table: ` +
        `ALTER TABLE ${MARKER_TABLE} RENAME TO former_${MARKER_TABLE}`,
    },
  );
}

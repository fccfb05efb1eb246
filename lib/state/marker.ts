import { CorruptDatabaseError, FormatError, StatementError } from "../base/errors.ts";
import { version } from "../base/version.ts";
import {
  type Connection,
  number,
  numberOrNull,
  type Row,
  type SqlValue,
  text,
  textOrNull,
} from "../database/connection.ts";
import { MARKER_TABLE, type Migration, sqlOf } from "../migration/migration.ts";

/** A row of `catalyst_migrations`, which records that a migration is in the database. */
export interface Marker {
  /** Id of the migration, such as `001`. */
  readonly id: string;
  /** Name of the migration. */
  readonly name: string;
  /** When it was applied or adopted, in Unix epoch seconds. */
  readonly appliedAt: number;
  /** Duration in seconds; null if it was adopted. */
  readonly durationSeconds: number | null;
  /** The upgrade's text as applied; null if it was a function. */
  readonly upgradeSql: string | null;
}

/** The markers in a database. */
interface MarkerState {
  /** Its markers in the order they were written; null if it has no marker table. */
  readonly markers: readonly Marker[] | null;
  /** Whether it has any other table or view. */
  readonly hasTables: boolean;
}

/** Id of the row with which a migrator reserves a database on a server. */
export const LEASE = "lease";

/** Reads the markers of a database. */
export async function readMarkers(connection: Connection): Promise<MarkerState> {
  const counts = await connection.get(
    `SELECT
        count(*) FILTER (WHERE type = 'table' AND name = '${MARKER_TABLE}') AS marker_tables,
        count(*) FILTER (WHERE name <> '${MARKER_TABLE}' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\') AS tables
    FROM main.sqlite_schema
    WHERE type IN ('table', 'view')`,
  );
  const hasTables = counts !== undefined && number(counts, "tables") > 0;
  if (counts === undefined || number(counts, "marker_tables") === 0) {
    return { markers: null, hasTables };
  }
  try {
    const rows = await connection.all(
      `SELECT migration_id, migration_name, applied_at, duration_seconds, upgrade_sql
      FROM main.${MARKER_TABLE}
      WHERE migration_id <> '${LEASE}'
      ORDER BY rowid`,
    );
    return { markers: rows.map(toMarker), hasTables };
  } catch (error) {
    throw foreignTable(connection, damagedRow(error, connection, MARKER_TABLE));
  }
}

/**
 * Reads as many marker ids as possible from a database that may be damaged or belong to another tool.
 * An unreadable id is skipped.
 */
export async function readMarkerIds(connection: Connection): Promise<string[]> {
  try {
    const rows = await connection.all(
      `SELECT CAST(migration_id AS TEXT) AS id
      FROM main.${MARKER_TABLE}
      WHERE migration_id <> '${LEASE}'
      ORDER BY rowid`,
    );
    return rows.map((row) => text(row, "id"));
  } catch (error) {
    if (error instanceof StatementError || error instanceof TypeError) return [];
    throw error;
  }
}

/** The error for a row with a value of the wrong type, such as after a bit flip. */
export function damagedRow(error: unknown, { label }: Connection, table: string): unknown {
  if (!(error instanceof TypeError)) return error;
  return new CorruptDatabaseError(
    `Cannot read ${label}: a row of ${table} is damaged: ${
      error.message.replace(/^Cannot /, "cannot ")
    }`,
    { cause: error, help: "restore it from a snapshot: `backup list` shows them" },
  );
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

/** Explains an error caused by a marker table with a different schema. */
function foreignTable(connection: Connection, error: unknown): unknown {
  if (!(error instanceof Error) || !/no such column/.test(error.message)) return error;
  return new FormatError(
    `Cannot read ${connection.label}: its table ${MARKER_TABLE} was created by another tool or version`,
    {
      cause: error,
      help: `if you no longer use that tool, rename the table: ` +
        `ALTER TABLE ${MARKER_TABLE} RENAME TO former_${MARKER_TABLE}`,
    },
  );
}

/** Whether a database has the marker of a migration; null if it has no marker table. */
export async function hasMarker(connection: Connection, id: string): Promise<boolean | null> {
  // Check this first: for a new database a failing statement is slower than both queries.
  const table = await connection.get(
    "SELECT 1 FROM main.sqlite_schema WHERE type IN ('table', 'view') AND name = ? COLLATE NOCASE",
    [MARKER_TABLE],
  );
  if (table === undefined) return null;
  try {
    // Qualified, because a migration may have created a temporary table with that name.
    const sql = `SELECT 1 FROM main.${MARKER_TABLE} WHERE migration_id = ?`;
    return await connection.get(sql, [id]) !== undefined;
  } catch (error) {
    throw foreignTable(connection, error);
  }
}

/**
 * Refuses a trigger on the marker table, and a foreign key to it: they could change the marker, or the
 * user's rows after these were counted. Call it in the transaction that writes to the table.
 *
 * @throws {StatementError} naming the trigger or the table with the foreign key.
 */
export async function refuseMarkerTriggers(connection: Connection): Promise<void> {
  const found = await connection.get(
    `SELECT format('it has the trigger "%w"', name) AS what, 'drop the trigger' AS fix
    FROM (SELECT * FROM main.sqlite_schema UNION ALL SELECT * FROM temp.sqlite_schema)
    WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE
    UNION ALL
    SELECT format('a foreign key of table "%w" refers to it', name), 'remove the foreign key'
    FROM (
        SELECT name FROM main.sqlite_schema
        WHERE type = 'table' AND sql LIKE '%references%' || ?1 || '%'
    ) AS other
    JOIN pragma_foreign_key_list(other.name) AS key ON key."table" = ?1 COLLATE NOCASE`,
    [MARKER_TABLE],
  );
  if (found === undefined) return;
  const what = `table ${MARKER_TABLE} belongs to catalyst-migrate, but ${text(found, "what")}`;
  throw new StatementError(`Cannot change ${connection.label}: ${what}`, {
    cause: new Error(what),
    help: text(found, "fix"),
  });
}

/**
 * Changes the marker of one migration. The number of changes tells whether a trigger or a foreign key
 * changed anything else: looking for these before each migration would read the whole schema.
 */
async function changeMarker(
  connection: Connection,
  sql: string,
  parameters: readonly SqlValue[],
): Promise<void> {
  const before = await totalChanges(connection);
  await connection.run(sql, parameters);
  if (await totalChanges(connection) !== before + 1) await refuseMarkerTriggers(connection);
}

async function totalChanges(connection: Connection): Promise<number> {
  const row = await connection.get("SELECT total_changes() AS changes");
  return row === undefined ? 0 : number(row, "changes");
}

/** Creates the marker table if it is missing; runs inside the caller's transaction. */
export async function createMarkerTable(connection: Connection): Promise<void> {
  await connection.exec(
    `CREATE TABLE IF NOT EXISTS main.${MARKER_TABLE} (
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

/** When and how a migration was applied. */
interface MarkerDetails {
  /** Unix epoch seconds. */
  readonly appliedAt: number;
  /** Seconds; null if the migration was adopted. */
  readonly durationSeconds: number | null;
  /** Checksum of the upgrade's text; null if it is a function. */
  readonly checksum: string | null;
}

/** Writes the marker of a migration; runs inside the migration's own transaction. */
export async function writeMarker(
  connection: Connection,
  migration: Migration,
  details: MarkerDetails,
): Promise<void> {
  await changeMarker(
    connection,
    `INSERT INTO main.${MARKER_TABLE} (
        migration_id, migration_name, checksum, upgrade_sql, downgrade_sql, foreign_keys,
        toolkit_version, applied_at, duration_seconds, adopted
    ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    [
      migration.id,
      ...definitionOf(migration, details.checksum),
      details.appliedAt,
      details.durationSeconds,
      details.durationSeconds === null ? 1 : 0,
    ],
  );
}

/** Updates a marker to the current state of its migration; runs inside the caller's transaction. */
export async function rewriteMarker(
  connection: Connection,
  migration: Migration,
  checksum: string | null,
): Promise<void> {
  await changeMarker(
    connection,
    `UPDATE main.${MARKER_TABLE}
    SET migration_name = ?,
        checksum = ?,
        upgrade_sql = ?,
        downgrade_sql = ?,
        foreign_keys = ?,
        toolkit_version = ?
    WHERE migration_id = ?`,
    [...definitionOf(migration, checksum), migration.id],
  );
}

/** Values of the columns that describe a migration: from `migration_name` to `toolkit_version`. */
function definitionOf(migration: Migration, checksum: string | null): SqlValue[] {
  return [
    migration.name,
    checksum,
    sqlOf(migration.upgrade),
    sqlOf(migration.downgrade),
    migration.foreignKeys === false ? 0 : 1,
    version,
  ];
}

/** Removes the marker of a migration; runs inside the rollback's own transaction. */
export async function deleteMarker(connection: Connection, id: string): Promise<void> {
  await changeMarker(connection, `DELETE FROM main.${MARKER_TABLE} WHERE migration_id = ?`, [id]);
}

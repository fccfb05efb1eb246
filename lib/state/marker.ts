import type { Connection } from "../database/connection.ts";
import { number, numberOrNull, type Row, text, textOrNull } from "../database/connection.ts";
import { FormatError } from "../base/errors.ts";

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
  /** Whether it has any table or view besides. */
  readonly hasTables: boolean;
}

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
      ORDER BY rowid`,
    );
    return { markers: rows.map(toMarker), hasTables };
  } catch (error) {
    throw foreignTable(connection, error);
  }
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

/** Explains an error that a marker table of another shape causes. */
export function foreignTable(connection: Connection, error: unknown): unknown {
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

import { CatalystError, MigrationFailedError, StatementError } from "../base/errors.ts";
import { formatBytes, formatCount } from "../base/format.ts";
import { sizeOf } from "../base/paths.ts";
import { driverMessage } from "../database/failure.ts";
import { type Connection, text } from "../database/connection.ts";
import { statDatabase } from "../database/location.ts";
import { openForReading, openMemory } from "../database/open.ts";
import { withSnapshot } from "../database/transaction.ts";
import { runMigration, runOf } from "../engine/apply.ts";
import { countRows, readColumns, usersTables } from "../schema/tables.ts";
import { quoteName } from "../sql/tokens.ts";
import type { Migration } from "../migration/migration.ts";
import type { Inspection } from "../state/inspect.ts";
import { locationOf, type Workspace } from "../state/workspace.ts";
import type { Fault } from "./finding.ts";
import { dropObjects, OBJECTS } from "./scratch.ts";

/** Limits for copying all rows of a database: number of rows, and bytes. */
const MOST_ROWS = 50_000;
const MOST_BYTES = 64e6;

/** A database whose rows were not copied for trying migrations. */
export interface UntriedRows {
  /** Its name. */
  readonly database: string;
  /** The reason, such as `it has more than 50,000 rows`. */
  readonly reason: string;
}

/**
 * A copy of a database in memory, with its rows, on which migrations run as in an upgrade. It finds
 * failures that depend on rows.
 */
export class RowTrial implements AsyncDisposable {
  readonly #workspace: Workspace;
  readonly #found: Inspection;
  readonly #connection: Connection;

  private constructor(workspace: Workspace, found: Inspection, connection: Connection) {
    this.#workspace = workspace;
    this.#found = found;
    this.#connection = connection;
  }

  /** Copies a database, or returns why not; null if there are no rows. */
  static async open(
    workspace: Workspace,
    found: Inspection,
    database: string,
  ): Promise<RowTrial | UntriedRows | null> {
    const location = locationOf(workspace, database);
    if (!statDatabase(location).exists) return null;
    if (location.kind === "server") return { database, reason: "it is on a server" };
    if (location.kind !== "file") return { database, reason: "it is not a file" };
    if ((sizeOf(location.path) ?? 0) > MOST_BYTES) {
      return { database, reason: `it has more than ${formatBytes(MOST_BYTES)}` };
    }
    const connection = openMemory({ label: location.path });
    try {
      await using real = await openForReading(location, workspace.settings);
      const reason = await withSnapshot(real, () => copyRows(real, connection));
      if (reason === null) return new RowTrial(workspace, found, connection);
      await connection.close();
      return { database, reason };
    } catch (error) {
      await connection.close();
      // A copy that can't be made is not a fault of a migration.
      if (!(error instanceof CatalystError)) throw error;
      return { database, reason: driverMessage(error) };
    }
  }

  /** Runs an upgrade; returns its fault, or null. After a failure nothing else can be tried. */
  async upgrade(migration: Migration): Promise<Fault | null> {
    const run = runOf(this.#workspace, {
      migration,
      checksum: null,
      safeguard: null,
      found: this.#found,
      signal: undefined,
    });
    try {
      await runMigration(this.#connection, run);
      return null;
    } catch (error) {
      if (!(error instanceof CatalystError)) throw error;
      return faultOf(migration, error);
    }
  }

  /** Drops tables and views that no later migration needs, so that few exist at a time. */
  async forget(names: readonly string[]): Promise<void> {
    await this.#connection.exec("PRAGMA foreign_keys = OFF");
    await dropObjects(this.#connection, names);
    await this.#connection.exec("PRAGMA foreign_keys = ON");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#connection.close();
  }
}

function faultOf(migration: Migration, error: CatalystError): Fault {
  const { cause } = error;
  const place = cause instanceof StatementError && cause.statement !== undefined
    ? { sql: cause.statement, line: cause.line ?? null }
    : undefined;
  const isText = typeof migration.upgrade === "string";
  const isOfRows = error instanceof MigrationFailedError;
  // The finding has the location, and what would have been rolled back does not matter here.
  const [, reason = error.message] = /^Cannot apply .*?: (.*?)(?: \([^()]*:\d+\))?$/s.exec(
    error.message,
  ) ?? [];
  const [help = ""] = error.help?.split(/\. It (?:was rolled|ran)/) ?? [];
  return {
    code: /^Cannot add a NOT NULL column/.test(reason) ? "not-null-without-default" : "fails",
    ...place === undefined ? {} : { place: isText ? place : { ...place, line: null } },
    reason: `it fails ${isOfRows ? "on a copy of the rows" : "on a copy"}: ${reason}`,
    fix: help.replace(/, then run the command again$/, ""),
  };
}

/** Copies all objects and rows; returns why not if some can't be copied, or there are too many. */
async function copyRows(real: Connection, copy: Connection): Promise<string | null> {
  const virtual = (await usersTables(real)).find(({ type }) => type === "virtual");
  if (virtual !== undefined) return `"${virtual.name}" is a virtual table`;
  const counts = await countRows(real);
  if (counts.values().reduce((sum, rows) => sum + rows, 0) > MOST_ROWS) {
    return `it has more than ${formatCount(MOST_ROWS, "row")}`;
  }
  await copy.exec("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; BEGIN");
  const objects = await real.all(OBJECTS);
  const tables = objects.filter(({ type }) => type === "table");
  for (const { sql } of tables) await copy.exec(String(sql));
  for (const table of tables) await copyTable(real, copy, text(table, "name"));
  const marks = await real.get("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'");
  if (marks !== undefined) {
    await copy.exec("DELETE FROM sqlite_sequence");
    await copyTable(real, copy, "sqlite_sequence");
  }
  for (const { sql } of objects.slice(tables.length)) await copy.exec(String(sql));
  await copy.exec("COMMIT; PRAGMA ignore_check_constraints = OFF; PRAGMA foreign_keys = ON");
  return null;
}

async function copyTable(real: Connection, copy: Connection, table: string): Promise<void> {
  const columns = (await readColumns(real, table)).filter(({ kind }) => kind === "ordinary")
    .map(({ name }) => name);
  const list = columns.map(quoteName).join(", ");
  const insert = `INSERT INTO main.${quoteName(table)} (${list}) VALUES (${
    columns.map(() => "?").join(", ")
  })`;
  for await (const row of real.iterate(`SELECT ${list} FROM main.${quoteName(table)}`)) {
    await copy.run(insert, columns.map((column) => row[column] ?? null));
  }
}

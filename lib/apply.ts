import { runBody } from "./body.ts";
import { compareObservations, mayTouchRows, observe } from "./checks.ts";
import type { Connection } from "./database/connection.ts";
import { number } from "./database/row.ts";
import { withTransaction } from "./database/transaction.ts";
import {
  CatalystError,
  DowngradeBlockedError,
  InterruptedError,
  MigrationFailedError,
  StatementError,
} from "./errors.ts";
import { createMarkerTable, deleteMarker, hasMarker, writeMarker } from "./marker_writer.ts";
import type { Migration, MigrationBody } from "./migration.ts";

/** One run of one migration, up or down. */
export interface Run {
  readonly migration: Migration;
  readonly direction: "upgrade" | "downgrade";
  /** Checksum of what is run; null where it is a function. */
  readonly checksum: string | null;
  /** Name of the snapshot that was taken before; null where none was. */
  readonly snapshot: string | null;
  /** Tables of which rows may be lost. */
  readonly destroys: readonly string[];
  /** Checks of the result, before the commit; throws to roll back. */
  readonly verify?: ((connection: Connection) => Promise<void>) | undefined;
  /** Seconds to wait for another writer. */
  readonly timeout: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs a migration and writes or removes its marker, in one transaction: both happen, or neither.
 *
 * @returns how long it took, in seconds; null where another process had done it already.
 * @throws {MigrationFailedError} where a statement or a check failed; the database is as before.
 */
export async function runMigration(connection: Connection, run: Run): Promise<number | null> {
  const { migration } = run;
  const body = bodyOf(run);
  refuseOpenTransaction(connection);
  const foreignKeys = await holdForeignKeys(connection, migration.foreignKeys !== false);
  try {
    return await withTransaction(connection, () => runInside(connection, body, run), run);
  } catch (error) {
    throw explain(error, run);
  } finally {
    await foreignKeys.restore();
  }
}

async function runInside(
  connection: Connection,
  body: MigrationBody,
  run: Run,
): Promise<number | null> {
  const { migration, direction } = run;
  // The state was read before the transaction began; only what is read inside it is certain.
  const marked = await hasMarker(connection, migration.id);
  if ((marked ?? false) === (direction === "upgrade")) return null;
  const start = performance.now();
  const before = mayTouchRows(body) ? await observe(connection) : null;
  await runBody(connection, body, { database: migration.database, signal: run.signal });
  if (before !== null) compareObservations(before, await observe(connection), run);
  await run.verify?.(connection);
  const durationSeconds = (performance.now() - start) / 1000;
  if (direction === "upgrade") {
    if (marked === null) await createMarkerTable(connection);
    await writeMarker(connection, migration, {
      appliedAt: epochSeconds(),
      durationSeconds,
      checksum: run.checksum,
    });
  } else {
    await deleteMarker(connection, migration.id);
  }
  return durationSeconds;
}

function bodyOf({ migration, direction }: Run): MigrationBody {
  const body = direction === "upgrade" ? migration.upgrade : migration.downgrade;
  if (body !== undefined) return body;
  throw new DowngradeBlockedError(`Cannot roll back ${migration.name}: it has no downgrade`);
}

/** Turns enforcement on or off; SQLite ignores it inside a transaction, so it is read back. */
async function holdForeignKeys(
  connection: Connection,
  wanted: boolean,
): Promise<{ restore: () => Promise<void> }> {
  const former = await readForeignKeys(connection);
  if (former === wanted) return { restore: () => Promise.resolve() };
  const set = (on: boolean) => connection.exec(`PRAGMA foreign_keys = ${on ? "ON" : "OFF"}`);
  await set(wanted);
  if (await readForeignKeys(connection) !== wanted) {
    throw new StatementError(
      `Cannot turn foreign keys ${wanted ? "on" : "off"} in ${connection.label}: SQLite refused`,
    );
  }
  return { restore: () => set(former) };
}

async function readForeignKeys(connection: Connection): Promise<boolean> {
  const row = await connection.get("PRAGMA foreign_keys");
  return row !== undefined && number(row, "foreign_keys") === 1;
}

/** A transaction of the caller's, on a database that it brought open, would swallow ours. */
export function refuseOpenTransaction(connection: Connection): void {
  if (!connection.inTransaction) return;
  throw new StatementError(
    `Cannot change ${connection.label}: the connection that was given is inside a transaction`,
    { help: "commit it or roll it back first" },
  );
}

/** Says which migration failed where; errors that already say what to do stay as they are. */
function explain(error: unknown, { migration, direction, signal }: Run): unknown {
  const cannot = `Cannot ${direction === "upgrade" ? "apply" : "roll back"} ${migration.name}`;
  const options = { cause: error, migration: migration.name, database: migration.database };
  const unchanged = `It was rolled back; ${migration.database} is as it was before.`;
  if (signal?.aborted) {
    return new InterruptedError(`${cannot}: interrupted`, {
      ...options,
      help: `${unchanged} Run the command again to go on.`,
    });
  }
  if (error instanceof CatalystError && !(error instanceof StatementError)) return error;
  const cause = error instanceof StatementError ? error : undefined;
  const place = cause?.line === undefined ? "" : ` (line ${cause.line} of its SQL)`;
  return new MigrationFailedError(
    `${cannot} to ${migration.database}: ${reasonOf(error)}${place}`,
    {
      ...options,
      ...(cause?.statement === undefined ? {} : { statement: cause.statement }),
      ...(cause?.line === undefined ? {} : { line: cause.line }),
      help: `${cause?.help ?? "mend the migration, then run the command again"}. ${unchanged}`,
    },
  );
}

function reasonOf(error: unknown): string {
  if (
    error instanceof CatalystError && error.cause instanceof Error &&
    !(error.cause instanceof CatalystError)
  ) {
    return error.cause.message;
  }
  return error instanceof Error ? error.message : String(error);
}

/** Now, in Unix epoch seconds. */
export function epochSeconds(): number {
  return Math.floor(Date.now() / 1000);
}

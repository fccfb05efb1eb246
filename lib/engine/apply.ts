import { DowngradeBlockedError } from "../base/errors.ts";
import { epochSeconds } from "../base/format.ts";
import { type Connection, number } from "../database/connection.ts";
import {
  holdForeignKeys,
  refuseOpenTransaction,
  withTransaction,
} from "../database/transaction.ts";
import { createMarkerTable, deleteMarker, hasMarker, writeMarker } from "../state/marker.ts";
import { runBody } from "../migration/body.ts";
import type { Migration, MigrationBody } from "../migration/migration.ts";
import { compareObservations, mayTouchRows, type Observation, observe } from "./checks.ts";

/** One run of one migration, up or down. */
export interface Run {
  readonly migration: Migration;
  readonly direction: "upgrade" | "downgrade";
  /** Checksum of what is run; null where it is a function. */
  readonly checksum: string | null;
  /** Name of the snapshot that was taken before; null where none was. It may change with `begin`. */
  readonly snapshot: string | null;
  /** Tables of which rows may be lost. */
  readonly destroys: readonly string[];
  /** Called inside the transaction before anything is changed; outside of one, in one of its own. */
  readonly begin?: ((connection: Connection) => Promise<void>) | undefined;
  /** Checks of the result, before the commit; throws to roll back. */
  readonly verify?: ((connection: Connection, counted: Counted) => Promise<void>) | undefined;
  /** Seconds to wait for another writer. */
  readonly timeout: number;
  readonly signal?: AbortSignal | undefined;
  /** Seconds that a function may go without a statement. Default 60. */
  readonly idleTimeout?: number | undefined;
}

/** Numbers of rows by table; both are empty where the body can't change any. */
export interface Counted {
  readonly before: ReadonlyMap<string, number>;
  readonly after: ReadonlyMap<string, number>;
}

/**
 * Runs a migration and writes or removes its marker, in one transaction: both happen, or neither. One
 * with `transaction: false` runs outside of it: what it did before a failure stays.
 *
 * @returns how long it took, in seconds; null where another process had done it already.
 * @throws {MigrationFailedError} where a statement or a check failed; the database is as before.
 */
export async function runMigration(connection: Connection, run: Run): Promise<number | null> {
  const { migration } = run;
  const body = bodyOf(run);
  refuseOpenTransaction(connection);
  const foreignKeys = await holdForeignKeys(connection, migration.foreignKeys !== false);
  const begun: Begun = { statements: 0, last: null };
  try {
    return migration.transaction === false
      ? await runOutside(connection, { body, begun, run })
      : await withTransaction(connection, () => runInside(connection, body, run), run);
  } catch (error) {
    const { explain } = await import("../explain.ts");
    throw await explain(error, run, begun);
  } finally {
    await foreignKeys.restore();
  }
}

/** How many statements of a body were begun, and the last of them. */
export interface Begun {
  statements: number;
  last: string | null;
}

interface Outside {
  readonly body: MigrationBody;
  /** Counts the statements. */
  readonly begun: Begun;
  readonly run: Run;
}

/** Runs the body statement by statement, each for itself; the marker follows where all went well. */
async function runOutside(
  connection: Connection,
  { body, begun, run }: Outside,
): Promise<number | null> {
  const { migration, direction } = run;
  const marked = await hasMarker(connection, migration.id);
  if ((marked ?? false) === (direction === "upgrade")) return null;
  const { begin } = run;
  if (begin !== undefined) await withTransaction(connection, () => begin(connection), run);
  const start = performance.now();
  const before = mayTouchRows(body) ? await observe(connection) : null;
  try {
    await runBody(connection, body, {
      database: migration.database,
      transaction: false,
      signal: run.signal,
      idleTimeout: run.idleTimeout,
      onStatement: (sql) => {
        begun.statements++;
        begun.last = sql;
      },
    });
  } finally {
    if (connection.inTransaction) await connection.exec("ROLLBACK"); // of a SAVEPOINT left open
  }
  await check(connection, run, before);
  const durationSeconds = (performance.now() - start) / 1000;
  const end = { durationSeconds, hasTable: marked !== null };
  await withTransaction(connection, () => mark(connection, run, end), run);
  return durationSeconds;
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
  await run.begin?.(connection);
  const start = performance.now();
  const before = mayTouchRows(body) ? await observe(connection) : null;
  await runBody(connection, body, {
    database: migration.database,
    signal: run.signal,
    idleTimeout: run.idleTimeout,
  });
  await check(connection, run, before);
  const durationSeconds = (performance.now() - start) / 1000;
  await mark(connection, run, { durationSeconds, hasTable: marked !== null });
  return durationSeconds;
}

/** Compares with what was observed before, and does the run's own checks. */
async function check(
  connection: Connection,
  run: Run,
  before: Observation | null,
): Promise<void> {
  const after = before === null ? null : await observe(connection);
  if (before !== null && after !== null) compareObservations(before, after, run);
  const counted = { before: before?.rows ?? new Map(), after: after?.rows ?? new Map() };
  await run.verify?.(connection, counted);
}

/** Writes or removes the marker, in an open transaction. */
async function mark(
  connection: Connection,
  { migration, direction, checksum }: Run,
  { durationSeconds, hasTable }: { readonly durationSeconds: number; readonly hasTable: boolean },
): Promise<void> {
  if (direction === "upgrade") {
    if (!hasTable) await createMarkerTable(connection);
    await writeMarker(connection, migration, {
      appliedAt: epochSeconds(),
      durationSeconds,
      checksum,
    });
  } else {
    await deleteMarker(connection, migration.id);
  }
}

function bodyOf({ migration, direction }: Run): MigrationBody {
  const body = direction === "upgrade" ? migration.upgrade : migration.downgrade;
  if (body !== undefined) return body;
  throw new DowngradeBlockedError(`Cannot roll back ${migration.name}: it has no downgrade`);
}

export async function readForeignKeys(connection: Connection): Promise<boolean> {
  const row = await connection.get("PRAGMA foreign_keys");
  return row !== undefined && number(row, "foreign_keys") === 1;
}

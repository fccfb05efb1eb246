/**
 * Runs one migration up or down, with its checks and its marker, all-or-nothing.
 *
 * @module
 */
import { DowngradeBlockedError } from "../base/errors.ts";
import { epochSeconds } from "../base/format.ts";
import type { Connection } from "../database/connection.ts";
import {
  holdForeignKeys,
  refuseOpenTransaction,
  withTransaction,
} from "../database/transaction.ts";
import { runBody } from "../migration/body.ts";
import type { Migration, MigrationBody } from "../migration/migration.ts";
import { brokenObjects } from "../schema/broken_objects.ts";
import { fold } from "../sql/tokens.ts";
import type { Inspection } from "../state/inspect.ts";
import { createMarkerTable, deleteMarker, hasMarker, writeMarker } from "../state/marker.ts";
import type { Workspace } from "../state/workspace.ts";
import {
  compareObjects,
  compareObservations,
  lostRows,
  mayFindExisting,
  mayTouchRows,
  objectNames,
  observeRows,
  refuseReplacedRows,
  requireExpectedShape,
  type RowObservation,
} from "./checks.ts";
import { type Begun, describeFailure } from "./explain_failure.ts";
import type { RowCopies } from "./row_copies.ts";

/** Rows that a migration destroyed as declared. */
export interface DestroyedRows {
  /** Name of the table. */
  readonly table: string;
  /** Number of rows. */
  readonly rows: number;
}

/** One run of one migration, up or down. */
export interface Run {
  readonly migration: Migration;
  readonly direction: "upgrade" | "downgrade";
  /** Checksum of the SQL; null for a function. */
  readonly checksum: string | null;
  /** Name of the snapshot taken before the run; null if there is none. `begin` may change it. */
  readonly snapshot: string | null;
  /** Tables whose rows may be lost. */
  readonly destroys: readonly string[];
  /** Called inside the transaction before any change; without a transaction, in a separate one. */
  readonly begin?: ((connection: Connection) => Promise<void>) | undefined;
  /** Checks the result before the commit; throws to roll back. */
  readonly verify?: ((connection: Connection, counted: Counted) => Promise<void>) | undefined;
  /** Called before the commit with the rows destroyed as declared. */
  readonly onDestroyed?: ((losses: readonly DestroyedRows[]) => void) | undefined;
  /** Seconds to wait for another writer. */
  readonly timeout: number;
  readonly signal?: AbortSignal | undefined;
  /** Without a transaction on a server: called after each statement, to renew the lease. */
  readonly renew?: (() => Promise<void>) | undefined;
  /** Seconds that a function may run without a statement. Default 60. */
  readonly idleTimeout?: number | undefined;
}

/** Numbers of rows by table; empty if the body cannot change rows. */
interface Counted {
  readonly before: ReadonlyMap<string, number>;
  readonly after: ReadonlyMap<string, number>;
}

/**
 * Runs a migration and writes or removes its marker in one transaction, all-or-nothing. With
 * `transaction: false` it runs without a transaction, and statements before a failure keep their effect.
 *
 * @returns the duration in seconds; null if another process had already run it.
 * @throws {MigrationFailedError} if a statement or a check fails; the database is unchanged.
 */
export async function runMigration(connection: Connection, run: Run): Promise<number | null> {
  const { transaction = true, foreignKeys: isEnforced = true } = run.migration;
  const body = bodyOf(run);
  refuseOpenTransaction(connection);
  const foreignKeys = await holdForeignKeys(connection, isEnforced);
  const begun: Begun = { statements: 0, last: null };
  const work = () => runOnce(connection, { body, begun, run });
  try {
    return await (transaction ? withTransaction(connection, work, run) : work());
  } catch (error) {
    throw await describeFailure(error, run, begun);
  } finally {
    await foreignKeys.restore();
  }
}

interface Attempt {
  readonly body: MigrationBody;
  /** The statements started so far. */
  readonly begun: Begun;
  readonly run: Run;
}

async function runOnce(
  connection: Connection,
  { body, begun, run }: Attempt,
): Promise<number | null> {
  const { migration, direction, begin, signal, idleTimeout } = run;
  const { id, database, foreignKeys, transaction = true } = migration;
  const within = (work: () => Promise<void>) =>
    transaction ? work() : withTransaction(connection, work, run);
  // Read it again: the state read before the transaction may be outdated.
  const marked = await hasMarker(connection, id);
  if ((marked ?? false) === (direction === "upgrade")) return null;
  if (begin !== undefined) await within(() => begin(connection));
  const start = performance.now();
  const before = await observeBefore(connection, body);
  try {
    await runBody(connection, body, {
      ...{ database, foreignKeys, transaction, signal, idleTimeout },
      between: connection.isRemote && !transaction ? run.renew : undefined,
      onStatement: (sql) => {
        begun.statements++;
        begun.last = sql;
      },
    });
  } catch (error) {
    const { withDuplicate } = await import("../schema/duplicates.ts");
    throw await withDuplicate(connection, error); // while the rows still exist
  } finally {
    // Ends a SAVEPOINT left open.
    if (!transaction && connection.inTransaction) await connection.exec("ROLLBACK");
  }
  await check(connection, run, before);
  const durationSeconds = (performance.now() - start) / 1000;
  await within(() => mark(connection, run, { durationSeconds, hasTable: marked !== null }));
  return durationSeconds;
}

/** The state before a body that may change rows. */
interface Before {
  readonly rows: RowObservation;
  /** Null for a new database, which has no rows. */
  readonly kept: RowCopies | null;
  /** Views, triggers and foreign keys that do not work. */
  readonly broken: ReadonlyMap<string, string>;
  /** Folded names of all objects. */
  readonly objects: ReadonlySet<string>;
}

async function observeBefore(connection: Connection, body: MigrationBody): Promise<Before | null> {
  if (!mayTouchRows(body)) return null;
  const objects = await objectNames(connection);
  if (objects.size === 0) {
    return {
      rows: { rows: new Map(), violations: new Set() },
      broken: new Map(),
      objects,
      kept: null,
    };
  }
  const rows = await observeRows(connection);
  const broken = await brokenObjects(connection);
  const { RowCopies } = await import("./row_copies.ts");
  return { rows, broken, objects, kept: await RowCopies.of(connection, body) };
}

/** Compares with the state before, and runs the checks of the run. */
async function check(
  connection: Connection,
  run: Run,
  before: Before | null,
): Promise<void> {
  // This drops the copies of tables, so it must come before the comparison of objects.
  const losses = await before?.kept?.compare() ?? [];
  const after = before === null ? null : await observeRows(connection);
  if (before !== null && after !== null) {
    compareObservations(before.rows, after, run);
    refuseReplacedRows(losses, run);
    compareObjects(before.broken, await brokenObjects(connection, before.objects), run);
    const destroyed = new Map<string, DestroyedRows>();
    for (const { table, rows } of [...losses, ...lostRows(before.rows.rows, after.rows)]) {
      const key = fold(table);
      if (rows > (destroyed.get(key)?.rows ?? 0)) destroyed.set(key, { table, rows });
    }
    run.onDestroyed?.([...destroyed.values()]);
  }
  const counted = { before: before?.rows.rows ?? new Map(), after: after?.rows ?? new Map() };
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

/** Progress before and after each migration. */
export interface MigrationProgress {
  /** Whether the migration starts or has finished. */
  readonly kind: "started" | "finished";
  /** Whether it is applied or rolled back. */
  readonly direction: "upgrade" | "downgrade";
  /** Id of the migration, such as `001`. */
  readonly id: string;
  /** Its name. */
  readonly name: string;
  /** Name of its database. */
  readonly database: string;
  /** Duration in seconds; null at the start. */
  readonly durationSeconds: number | null;
}

/** A migration to apply. */
export interface Application {
  readonly migration: Migration;
  /** Checksum of its upgrade; null for a function. */
  readonly checksum: string | null;
  /** The snapshots to take before; null if none is needed. */
  readonly safeguard: RowProtection | null;
  /** The state before the first migration. */
  readonly found: Inspection;
  readonly signal: AbortSignal | undefined;
  /** Called with the rows destroyed as declared. */
  readonly onDestroyed?: Run["onDestroyed"];
}

/** Protects the rows that a migration is about to remove. */
interface RowProtection {
  /** Name of the newest snapshot that contains a database; null if there is none. */
  nameFor(database: string): string | null;
  /** Makes sure, inside the migration's transaction, that a snapshot contains every committed row. */
  secure(connection: Connection, database: string): Promise<void>;
}

/** The run that applies a migration. */
export function runOf(
  workspace: Workspace,
  { migration, checksum, safeguard, found, signal, onDestroyed }: Application,
): Run {
  const { database, destroys = [] } = migration;
  const state = found.databases.get(database);
  const isFresh = state === undefined || (state.markers ?? []).length === 0 && !state.hasTables;
  return {
    migration,
    direction: "upgrade",
    checksum,
    get snapshot() {
      return safeguard?.nameFor(database) ?? null;
    },
    destroys,
    onDestroyed,
    begin: destroys.length === 0
      ? undefined
      : async (connection) => await safeguard?.secure(connection, database),
    verify: isFresh ? undefined : async (connection) => {
      if (mayFindExisting(migration)) {
        await requireExpectedShape(connection, migration, workspace.registry);
      }
    },
    timeout: workspace.timeout,
    idleTimeout: workspace.idleTimeout,
    signal,
  };
}

import type { RowCopies } from "./row_copies.ts";
import { fold } from "../sql/tokens.ts";
import { afterCommit, type Session } from "./session.ts";
import {
  CatalystError,
  DowngradeBlockedError,
  InterruptedError,
  MigrationFailedError,
  StatementError,
} from "../base/errors.ts";
import { epochSeconds, messageOf } from "../base/format.ts";
import { missingPermission } from "../base/paths.ts";
import type { Connection } from "../database/connection.ts";
import { driverMessage } from "../database/failure.ts";
import {
  holdForeignKeys,
  refuseOpenTransaction,
  withTransaction,
} from "../database/transaction.ts";
import { runBody } from "../migration/body.ts";
import type { Migration, MigrationBody } from "../migration/migration.ts";
import type { Inspection } from "../state/inspect.ts";
import { addEvent, setHistory } from "../state/ledger.ts";
import { createMarkerTable, deleteMarker, hasMarker, writeMarker } from "../state/marker.ts";
import { locationOf, type Workspace } from "../state/workspace.ts";
import {
  compareObservations,
  compareRows,
  lostRows,
  mayTouchRows,
  observeRows,
  outcomeOf,
  type RowObservation,
} from "./row_loss.ts";
import {
  brokenObjects,
  compareObjects,
  mayFindExisting,
  objectNames,
  requireExpectedShape,
} from "./broken_objects.ts";

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
    throw await describeFailure(error, run, begun);
  } finally {
    await foreignKeys.restore();
  }
}

/** The number of statements that were started, and the last of them. */
export interface Begun {
  statements: number;
  last: string | null;
}

interface Outside {
  readonly body: MigrationBody;
  /** The statements started so far. */
  readonly begun: Begun;
  readonly run: Run;
}

/** Runs the body statement by statement without a transaction; writes the marker after success. */
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
  const before = await observeBefore(connection, body);
  try {
    await namingDuplicates(connection, () =>
      runBody(connection, body, {
        database: migration.database,
        transaction: false,
        signal: run.signal,
        between: connection.isRemote ? run.renew : undefined,
        idleTimeout: run.idleTimeout,
        onStatement: (sql) => {
          begun.statements++;
          begun.last = sql;
        },
      }));
  } finally {
    if (connection.inTransaction) await connection.exec("ROLLBACK"); // ends a SAVEPOINT left open
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
  // Read it again: the state read before the transaction may be outdated.
  const marked = await hasMarker(connection, migration.id);
  if ((marked ?? false) === (direction === "upgrade")) return null;
  await run.begin?.(connection);
  const start = performance.now();
  const before = await observeBefore(connection, body);
  await namingDuplicates(connection, () =>
    runBody(connection, body, {
      database: migration.database,
      foreignKeys: migration.foreignKeys,
      signal: run.signal,
      idleTimeout: run.idleTimeout,
    }));
  await check(connection, run, before);
  const durationSeconds = (performance.now() - start) / 1000;
  await mark(connection, run, { durationSeconds, hasTable: marked !== null });
  return durationSeconds;
}

/** Adds the duplicate value to an error of a unique index or constraint, while the rows still exist. */
async function namingDuplicates(
  connection: Connection,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    const { withDuplicate } = await import("../schema/duplicates.ts");
    throw await withDuplicate(connection, error);
  }
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
    const replaced = compareRows(losses, run);
    compareObjects(before.broken, await brokenObjects(connection, before.objects), run);
    const declared = new Map(replaced.map(({ table, rows }) => [fold(table), { table, rows }]));
    for (const { table, rows } of lostRows(before.rows.rows, after.rows)) {
      if ((declared.get(fold(table))?.rows ?? 0) < rows) declared.set(fold(table), { table, rows });
    }
    run.onDestroyed?.([...declared.values()].filter(({ rows }) => rows > 0));
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

/** Runs one migration and records its start and outcome in the ledger. */
export async function runAndRecord(
  workspace: Workspace,
  session: Session,
  run: Run,
): Promise<number | null> {
  const { migration, direction } = run;
  const { id, name, database } = migration;
  const { path: databasePath } = locationOf(workspace, database);
  const { checksum } = run;
  const startedAt = epochSeconds();
  const event = { id, name, database, databasePath, direction, checksum, startedAt };
  await addEvent(await session.ledger(), {
    ...event,
    outcome: "started",
    endedAt: null,
    detail: detailOf(run),
  });
  const finish = (
    status: "applied" | "rolled_back" | "failed",
    durationSeconds: number | null,
    error: string | null,
  ) =>
    session.record(async (ledger) => {
      const end = { durationSeconds, error };
      await addEvent(ledger, { ...event, ...end, outcome: status, detail: detailOf(run) });
      // After a failed rollback the migration is still applied, and so its row is kept.
      if (status === "failed" && direction === "downgrade") return;
      const appliedAt = epochSeconds();
      await setHistory(ledger, { id, name, databasePath, appliedAt, status, ...end });
    });
  let seconds: number | null;
  try {
    const connection = await session.database(database);
    seconds = await runMigration(connection, {
      ...run,
      idleTimeout: workspace.idleTimeout,
      renew: async () => {
        await session.database(database);
      },
    });
  } catch (error) {
    // Report the failure itself, even if the ledger cannot be written either (a full disk).
    await finish("failed", null, messageOf(error)).catch(() => {});
    throw error;
  }
  const isUpgrade = direction === "upgrade";
  await afterCommit({
    done: `${isUpgrade ? "Applied" : "Rolled back"} ${name}`,
    help:
      "the database is complete; the next command that changes the databases corrects the ledger",
  }, () => finish(isUpgrade ? "applied" : "rolled_back", seconds, null));
  return seconds;
}

function detailOf({ snapshot }: Run): string | null {
  return snapshot === null ? null : `snapshot ${snapshot} was taken before`;
}

/** Adds the migration and position to an error; errors that already say what to do are unchanged. */
export async function describeFailure(error: unknown, run: Run, begun: Begun): Promise<unknown> {
  const { migration, direction, signal } = run;
  const isUpgrade = direction === "upgrade";
  const cannot = `Cannot ${isUpgrade ? "apply" : "roll back"} ${migration.name}`;
  const options = { cause: error, migration: migration.name, database: migration.database };
  const outcome = outcomeOf(migration, doneBefore(error, begun));
  if (signal?.aborted) {
    return new InterruptedError(`${cannot}: interrupted`, {
      ...options,
      help: `${outcome} Run the command again to continue.`,
    });
  }
  if (error instanceof CatalystError && !(error instanceof StatementError)) {
    // Inside a transaction these errors already describe the outcome.
    if (migration.transaction !== false || error instanceof MigrationFailedError) return error;
    return new MigrationFailedError(error.message, { ...options, help: outcome });
  }
  const cause = error instanceof StatementError ? error : undefined;
  const { place, shown } = await placeOf(cause, run);
  const line = place.line ?? cause?.line;
  const denied = error instanceof Deno.errors.NotCapable ? error : undefined;
  const reason = denied === undefined ? driverMessage(error) : lacking(denied);
  const what = cause?.help ??
    (denied !== undefined ? permissionHelp() : isUpgrade ? adviceOn(reason, migration) : FIX_IT);
  return new MigrationFailedError(
    `${cannot} to ${migration.database}: ${reason}${place.text}`,
    {
      ...options,
      ...(cause?.statement === undefined ? {} : { statement: cause.statement }),
      ...(line === undefined ? {} : { line }),
      ...(migration.source === undefined ? {} : { path: migration.source.path }),
      help: `${what}. ${outcome}${shown === "" ? "" : `\n${shown}`}`,
    },
  );
}

const FIX_IT = "fix the migration, then run the command again";

/** Help for a failed statement, based on SQLite's message. */
export function adviceOn(reason: string, { id, database }: Migration): string {
  const isTaken = /already exists|^duplicate column name|^there is already/.test(reason);
  return isTaken
    ? `if ${database} already has everything, for example because the bot created it, record the ` +
      `migration as applied: \`baseline --to ${id}\`; otherwise ${FIX_IT}`
    : FIX_IT;
}

function lacking({ message }: Error): string {
  return missingPermission(message).replace(/^Requires/, "it requires");
}

function permissionHelp(): string {
  return Deno.build.standalone
    ? "the executable may only read and write files; for more, run the toolkit with Deno: " +
      "deno run -A jsr:@catalyst/migrate upgrade"
    : "run Deno with that permission too, then run the command again";
}

/** Number of completed statements: all that were started except the failed one. */
function doneBefore(error: unknown, { statements, last }: Begun): number {
  const failed = error instanceof CatalystError && error.statement !== undefined &&
    error.statement === last;
  return failed ? statements - 1 : statements;
}

interface ShownPlace {
  readonly place: { readonly text: string; readonly line?: number };
  /** The failed statement's line; empty if unknown. */
  readonly shown: string;
}

async function placeOf(
  error: StatementError | undefined,
  { migration, direction }: Run,
): Promise<ShownPlace> {
  const { source } = migration;
  const isUpgrade = direction === "upgrade";
  const body = isUpgrade ? migration.upgrade : migration.downgrade;
  const { line, statement = "" } = error ?? {};
  if (line === undefined) return { place: { text: "" }, shown: "" };
  const first = isUpgrade ? source?.upgradeLine : source?.downgradeLine;
  if (typeof body !== "string" || source === undefined) {
    return { place: { text: ` (line ${line} of its SQL)` }, shown: "" };
  }
  const { showFailure } = await import("../migration/syntax.ts");
  const shown = showFailure(body, {
    statement,
    line,
    firstLine: first ?? 1,
    message: driverMessage(error),
  });
  if (first === undefined) {
    return { place: { text: ` (line ${line} of its SQL in ${source.path})` }, shown };
  }
  const ofFile = first + line - 1;
  return { place: { text: ` (${source.path}:${ofFile})`, line: ofFile }, shown };
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

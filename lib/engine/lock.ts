/**
 * Keeps two migrators from running at once: with a lock file on one machine, and with a lease in the
 * database on a server.
 *
 * @module
 */
import {
  CatalystError,
  InterruptedError,
  MigratorLockedError,
  SnapshotError,
} from "../base/errors.ts";
import { sleep } from "../base/event_loop.ts";
import { ensureDirectory } from "../base/files.ts";
import { acquireLock } from "../base/file_lock.ts";
import { version } from "../base/version.ts";
import { type Connection, number, text } from "../database/connection.ts";
import { isBusy } from "../database/failure.ts";
import { whileBusy, withTransaction } from "../database/transaction.ts";
import { MARKER_TABLE } from "../migration/migration.ts";
import { createMarkerTable, LEASE, refuseMarkerTriggers } from "../state/marker.ts";
import { isRestoring, lockBeside, type Workspace } from "../state/workspace.ts";
import { removeLeftovers } from "./remove_leftovers.ts";

/** Options of {@link takeMigratorLock}. */
export interface MigratorLockOptions {
  /** Stops the wait for the lock. */
  readonly signal?: AbortSignal | undefined;
  /** Whether a restore takes it, which may find an interrupted restore. Default `false`. */
  readonly restores?: boolean;
}

/**
 * Takes the lock file of a workspace, waiting up to its timeout, and removes what killed commands left.
 * Null for a ledger in memory, which belongs to this process alone.
 */
export async function takeMigratorLock(
  workspace: Workspace,
  { signal, restores = false }: MigratorLockOptions,
): Promise<Disposable | null> {
  const { ledgerFile, timeout, createDirectories } = workspace;
  if (ledgerFile === ":memory:") return null;
  ensureDirectory(ledgerFile, createDirectories);
  using held = new DisposableStack();
  held.use(await acquireLock(lockBeside(ledgerFile), { timeout, signal }));
  const isInterrupted = isRestoring(workspace);
  if (isInterrupted && !restores) {
    throw new SnapshotError(
      "Cannot continue: a restore was interrupted in the meantime, and the databases are inconsistent",
      { help: "run the command again: it finishes the restore first" },
    );
  }
  // An interrupted restore still needs its files.
  if (!isInterrupted) await removeLeftovers(workspace);
  return held.move();
}

/** Removes leftovers of killed commands, unless another command is running. */
export async function tidyUp(workspace: Workspace): Promise<void> {
  try {
    using _lock = await takeMigratorLock({ ...workspace, timeout: 0 }, {});
  } catch (error) {
    if (!(error instanceof CatalystError)) throw error;
    // The command itself reports the problem.
  }
}

/** Duration of a lease in seconds. A killed migrator blocks others for as long. */
const LEASE_SECONDS = 60;

/** Seconds after which a lease is renewed. */
const RENEW_AFTER = 10;

/** Milliseconds between two checks of another holder's lease. */
const PAUSE = 200;

/** Options of {@link Lease.take}. */
export interface LeaseOptions {
  /**
   * Identifies the holder. Two processes must not use the same one at once. A process that replaces a
   * killed one should use its holder, so that it does not have to wait.
   */
  readonly holder: string;
  /** Seconds to wait for another holder. */
  readonly timeout: number;
  readonly signal?: AbortSignal | undefined;
  /** Seconds after which it is renewed. Default 10. */
  readonly renewAfter?: number;
}

/**
 * Prevents two migrators on different machines from changing a database on a server at once. An
 * operating system lock does not reach there, and a transaction is not a lock, because the server ends
 * it when another client wants to write. So a row in the marker table says until when, by the server's
 * clock, the database is reserved.
 *
 * The lease only keeps order. Each migration is applied once even without it, because the marker is read
 * again in the migration's own transaction.
 */
export class Lease {
  readonly #connection: Connection;
  readonly #options: LeaseOptions;
  #renewed: number;
  #timer: ReturnType<typeof setInterval> | null = null;
  readonly #renewAfter: number;
  #underWay: Promise<void> = Promise.resolve();
  #failure: unknown = null;

  private constructor(connection: Connection, options: LeaseOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#renewAfter = options.renewAfter ?? RENEW_AFTER;
    this.#renewed = performance.now();
  }

  /**
   * Takes the lease.
   *
   * @throws {MigratorLockedError} if another holder has it for longer than the timeout.
   */
  static async take(connection: Connection, options: LeaseOptions): Promise<Lease> {
    const deadline = performance.now() + options.timeout * 1000;
    for (;;) {
      // Only read: an attempt to write would end the other migrator's transaction after 5 s.
      const other = await otherHolder(connection, options.holder);
      if (other === null && await write(connection, options)) return new Lease(connection, options);
      if (performance.now() + PAUSE > deadline) {
        const { label } = connection;
        throw new MigratorLockedError(
          `Cannot change ${label}: another migrator has reserved it for up to ${
            other ?? LEASE_SECONDS
          } s`,
          {
            help: "wait until it has finished, then run the command again; it may have been killed",
          },
        );
      }
      await sleep(PAUSE);
      if (options.signal?.aborted) {
        throw new InterruptedError(`Cannot change ${connection.label}: interrupted`, {
          help: "nothing was changed; run the command again to continue",
        });
      }
    }
  }

  /** Renews the lease automatically from now on; nothing else may use the connection. */
  keepUp(): void {
    this.#timer = setInterval(() => {
      // The next caller receives the error.
      this.#underWay = this.#write().catch((error) => {
        this.#failure = error;
      });
    }, this.#renewAfter * 1000);
  }

  /** Renews the lease, if no transaction is open. */
  async renew(): Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    if (this.#timer !== null || this.#connection.inTransaction) return;
    if (performance.now() - this.#renewed < this.#renewAfter * 1000) return;
    await this.#write();
  }

  async #write(): Promise<void> {
    // One statement without a transaction, so that it can also run during a migration.
    const work = () => writeRow(this.#connection, this.#options);
    if (!await whileBusy(this.#connection, work, this.#options)) {
      throw new MigratorLockedError(
        `Cannot change ${this.#connection.label}: another migrator has taken it over`,
        { help: "run the command again when it has finished; `status` shows what was applied" },
      );
    }
    this.#renewed = performance.now();
  }

  /** Releases the lease. If that fails, the lease expires. */
  async release(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#underWay;
    const sql =
      `DELETE FROM main.${MARKER_TABLE} WHERE migration_id = '${LEASE}' AND migration_name = ?`;
    await this.#connection.run(sql, [this.#options.holder]).catch(() => {});
  }
}

/** Remaining seconds of another holder's lease; null if there is none. */
async function otherHolder(connection: Connection, holder: string): Promise<number | null> {
  const table = await connection.get(
    "SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND name = ?",
    [MARKER_TABLE],
  );
  if (table === undefined) return null;
  const row = await connection.get(
    `SELECT migration_name AS holder, applied_at - unixepoch() AS seconds
    FROM main.${MARKER_TABLE}
    WHERE migration_id = '${LEASE}'`,
  );
  if (row === undefined || text(row, "holder") === holder) return null;
  const seconds = number(row, "seconds");
  return seconds > 0 ? seconds : null;
}

/** Writes the row, unless another holder has taken the lease in the meantime. */
async function write(
  connection: Connection,
  options: LeaseOptions,
): Promise<boolean> {
  try {
    return await withTransaction(connection, async () => {
      await createMarkerTable(connection);
      await refuseMarkerTriggers(connection);
      return await writeRow(connection, options);
    }, options);
  } catch (error) {
    if (isBusy(error)) return false;
    throw error;
  }
}

async function writeRow(
  connection: Connection,
  { holder }: Pick<LeaseOptions, "holder">,
): Promise<boolean> {
  const row = await connection.get(
    `INSERT INTO main.${MARKER_TABLE} (
        migration_id, migration_name, applied_at, foreign_keys, adopted, toolkit_version
    ) VALUES ('${LEASE}', ?1, unixepoch() + ${LEASE_SECONDS}, 1, 0, ?2)
    ON CONFLICT (migration_id) DO UPDATE SET
        migration_name = excluded.migration_name,
        applied_at = excluded.applied_at
    WHERE applied_at <= unixepoch() OR migration_name = excluded.migration_name
    RETURNING migration_id`,
    [holder, version],
  );
  return row !== undefined;
}

/**
 * A holder that is the same for all migrators that share a lock file, and for no others, such as those
 * of a copy of the directory.
 */
export function holderOf(lockFile: string): string {
  try {
    const { dev, ino, birthtime } = Deno.statSync(lockFile);
    return `${dev}:${ino}:${birthtime?.getTime()}`;
  } catch {
    return crypto.randomUUID();
  }
}

import { briefly, createYielder, sleep } from "../base/event_loop.ts";
import { DatabaseLockedError, InterruptedError, StatementError } from "../base/errors.ts";
import { describeHolders } from "../base/lock_holders.ts";
import { type Connection, readPragma, type ScriptOptions } from "./connection.ts";
import { driverMessage, isBusy, translate, WHEN_LOCKED } from "./failure.ts";
import { firstStatement, lineOf, skipTrivia } from "../sql/tokens.ts";

/** How long to wait for other connections. */
export interface TransactionOptions {
  /** Seconds to wait for another connection's lock. */
  readonly timeout: number;
  /** Stops the wait. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs `work` in one `BEGIN IMMEDIATE` transaction: committed when it returns, rolled back when it
 * throws.
 *
 * @throws {DatabaseLockedError} if another connection holds the write lock for longer than the timeout.
 */
export async function withTransaction<T>(
  connection: Connection,
  work: () => Promise<T>,
  options: TransactionOptions,
): Promise<T> {
  const begin = () => briefly(() => connection.exec("BEGIN IMMEDIATE"));
  await whileBusy(connection, begin, options);
  try {
    const result = await work();
    await connection.exec("COMMIT");
    return result;
  } catch (error) {
    // After some failures, such as a full disk, SQLite has already rolled back.
    if (connection.inTransaction) await connection.exec("ROLLBACK").catch(() => {});
    throw error;
  }
}

/** Begins a read transaction and fixes its snapshot. */
export async function beginReading(connection: Connection): Promise<void> {
  await connection.exec("BEGIN");
  // SQLite takes the snapshot at the first read.
  await connection.get("SELECT 1 FROM sqlite_schema LIMIT 1");
}

/**
 * Waits until all commits are on disk. With `synchronous = NORMAL` they are synced only by a
 * checkpoint, and closing a connection runs none while a bot has the database open.
 */
export async function makeDurable(connection: Connection): Promise<void> {
  if (connection.isRemote) return; // a server answers after the sync
  await connection.exec("PRAGMA wal_checkpoint(PASSIVE)");
}

/** Runs `work`, which only reads, in one read transaction: it sees no commits of other connections. */
export async function withSnapshot<T>(connection: Connection, work: () => Promise<T>): Promise<T> {
  if (connection.inTransaction) return await work();
  await connection.exec("BEGIN");
  try {
    return await work();
  } finally {
    if (connection.inTransaction) await connection.exec("ROLLBACK");
  }
}

/**
 * Retries while another connection holds a lock. It polls instead of letting SQLite sleep, so that the
 * event loop keeps running and can interrupt.
 *
 * @throws {DatabaseLockedError} if the lock is held for longer than the timeout.
 */
export async function whileBusy<T>(
  connection: Connection,
  action: () => Promise<T>,
  options: TransactionOptions,
): Promise<T> {
  const deadline = performance.now() + options.timeout * 1000;
  // A server decides how long a client waits.
  const { isRemote = false } = connection;
  const previous = isRemote ? 0 : await readPragma(connection, "busy_timeout");
  if (!isRemote) await connection.exec("PRAGMA busy_timeout = 0");
  try {
    for (let pause = 1;; pause = Math.min(pause * 2, 50)) {
      try {
        return await action();
      } catch (error) {
        if (!isBusy(error)) throw error;
        if (performance.now() + pause > deadline) {
          throw locked(connection.label, error, options.timeout);
        }
      }
      await sleep(pause);
      if (options.signal?.aborted) {
        throw new InterruptedError(`Cannot change ${connection.label}: interrupted`, {
          help: "run the command again to continue",
        });
      }
    }
  } finally {
    if (!isRemote) await connection.exec(`PRAGMA busy_timeout = ${previous}`);
  }
}

function locked(path: string, cause: unknown, timeout: number): DatabaseLockedError {
  const holders = describeHolders(path) || "another process";
  return new DatabaseLockedError(
    `Cannot change ${path}: it was locked for ${timeout} s by ${holders}`,
    { cause, help: WHEN_LOCKED },
  );
}

/** Turns enforcement on or off and reads it back, because SQLite ignores the pragma inside a transaction. */
export async function holdForeignKeys(
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

/** Refuses a connection of the caller that has an open transaction, because ours would become part of it. */
export function refuseOpenTransaction(connection: Connection): void {
  if (!connection.inTransaction) return;
  throw new StatementError(
    `Cannot change ${connection.label}: the given connection has an open transaction`,
    { help: "commit it or roll it back first" },
  );
}

async function readForeignKeys(connection: Connection): Promise<boolean> {
  return await readPragma(connection, "foreign_keys") === 1;
}

/** The first statement of a text, prepared by the driver. */
interface PreparedStep {
  /** Its source text, as delimited by SQLite. */
  readonly sql: string;
  readonly run: () => unknown;
}

/** What a driver provides to run a script. */
interface ScriptDriver extends ScriptOptions {
  /** Prepares the first statement of a text that contains at least one. */
  readonly step: (rest: string) => PreparedStep;
  /** Name of the database in messages. */
  readonly label: string;
}

/**
 * Runs a script statement by statement. SQLite's parser finds the end of each statement, so triggers,
 * strings and comments need no special treatment.
 */
export async function runScript(sql: string, driver: ScriptDriver): Promise<void> {
  const failed = (error: unknown, statement: string, at: number) =>
    translate(error, { verb: "change", label: driver.label, statement, line: lineOf(sql, at) });
  const nul = sql.indexOf("\0");
  if (nul !== -1) {
    // SQLite stops at a NUL and would silently skip the rest.
    throw failed(new Error("the SQL has a NUL character"), sql, nul);
  }
  const yielder = createYielder();
  let at = skipTrivia(sql, 0);
  while (at < sql.length) {
    const rest = sql.slice(at);
    let length: number | null = null;
    try {
      const step = driver.step(rest);
      length = step.sql.length;
      driver.onStatement?.(step.sql);
      if (driver.around === undefined) step.run();
      else await driver.around({ sql: step.sql, line: lineOf(sql, at), run: step.run });
    } catch (error) {
      const statement = length === null ? firstStatement(rest) : rest.slice(0, length);
      throw failed(error, statement, at);
    }
    at = skipTrivia(sql, at + length);
    const pause = yielder();
    if (pause !== undefined) await pause;
  }
}

/** Strings, names in double quotes, and comments. */
const QUOTED = /'[^']*'|"([^"]*(?:""[^"]*)*)"|--[^\n]*|\/\*[^]*?\*\//g;

/**
 * Refuses a statement with a double-quoted text that is not a name. SQLite would treat it as a string,
 * so a mistyped column would silently become a constant. Backticks quote names only.
 *
 * @throws {Error} if there is one. SQLite reports other errors when the statement runs.
 */
export async function refuseTextAsName(
  connection: Pick<Connection, "all">,
  sql: string,
): Promise<void> {
  if (!sql.includes('"') || /^pragma\b/i.test(sql)) return;
  const strict = sql.replaceAll(
    QUOTED,
    (all: string, name: string | undefined) =>
      name === undefined ? all : `\`${name.replaceAll('""', '"').replaceAll("`", "``")}\``,
  );
  if (strict === sql) return;
  try {
    await connection.all(`EXPLAIN QUERY PLAN ${strict}`);
  } catch (error) {
    const [, name] = /^no such column: (.*)$/s.exec(driverMessage(error)) ?? [];
    if (name === undefined) return;
    throw new Error(
      `no such column: "${name}" - should this be a string literal in single-quotes?`,
    );
  }
}

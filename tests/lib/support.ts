import assert from "node:assert/strict";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { createCatalystMigrator } from "../../lib/catalyst.ts";
import {
  defineMigration,
  type Migration,
  type MigrationDefinition,
} from "../../lib/migration/migration.ts";
import type { Migrator } from "../../lib/migrator.ts";
import { copyUpgraded, makeTemporaryDirectory } from "../helpers.ts";
import { checkDocument } from "../json_documents.ts";
import { runWarm } from "../warm_cli.ts";

/** A directory that is removed with its contents on disposal. */
export class TemporaryDirectory implements Disposable {
  readonly path: string = makeTemporaryDirectory("catalyst-");

  /** Path of a file in it. */
  file(name: string): string {
    return `${this.path}/${name}`;
  }

  /**
   * Names and sizes of its files, with the time of the last change for those that match, by default
   * all.
   */
  listing(options: { timesOf?: RegExp } = {}): string[] {
    const { timesOf = /./ } = options;
    return [...Deno.readDirSync(this.path)].map(({ name }) => {
      const { size, mtime } = Deno.statSync(this.file(name));
      return timesOf.test(name) ? `${name} ${size} ${mtime?.getTime()}` : `${name} ${size}`;
    }).toSorted();
  }

  /** Names of its files. */
  names(): string[] {
    return [...Deno.readDirSync(this.path)].map(({ name }) => name).toSorted();
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

/** Opens a database, works on it and closes it. */
export function withDatabase<T>(path: string, work: (db: DatabaseSync) => T): T {
  const db = new DatabaseSync(path);
  try {
    return work(db);
  } finally {
    db.close();
  }
}

/** Runs SQL on a database file. */
export function execute(path: string, sql: string): void {
  withDatabase(path, (db) => db.exec(sql));
}

/** All rows of a query on a database file, as plain objects. */
export function query(path: string, sql: string, ...parameters: SQLInputValue[]): unknown[] {
  return withDatabase(path, (db) => db.prepare(sql).all(...parameters).map((row) => ({ ...row })));
}

/** The bot's three databases, in their own directory. */
export async function createBot(directory: TemporaryDirectory): Promise<Migrator> {
  await copyUpgraded(directory.path);
  return createCatalystMigrator({ dataDir: directory.path });
}

/** A migration of the database `app`, unless the definition names another. */
export function migrationOf(
  definition: Partial<MigrationDefinition> & { name: string },
): Migration {
  return defineMigration({ database: "app", upgrade: "SELECT 1", ...definition });
}

/** Consistent orders, fills and positions, `count` of each. */
export function fillBot(directory: TemporaryDirectory, count: number): void {
  const numbers = `WITH RECURSIVE numbers (n) AS (
    SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${count}
  )`;
  execute(
    directory.file("positions.db"),
    `${numbers} INSERT INTO positions (
      position_id, ticker, side, quantity, entry_price, current_price, opened_at, updated_at
    ) SELECT 'P' || n, 'ABC', 'long', 1, 10.0, 11.0, n, n FROM numbers WHERE n % 2 = 0;
    ${numbers} INSERT INTO closed_positions (
      position_id, ticker, side, quantity, entry_price, exit_price, realized_pnl, realized_pnl_pct,
      opened_at, closed_at, updated_at, holding_period_hours, exit_reason
    ) SELECT 'P' || n, 'ABC', 'short', 1, 10.0, 9.0, 1.0, 10.0, n, n + 1, n, 1.0, 'manual'
    FROM numbers WHERE n % 2 = 1;`,
  );
  execute(
    directory.file("trading.db"),
    `${numbers} INSERT INTO orders (
      order_id, client_order_id, ticker, order_type, side, quantity, submitted_at, updated_at,
      position_id
    ) SELECT 'O' || n, 'C' || n, 'ABC', 'market', 'buy', 1, n, n, iif(n % 10 = 0, NULL, 'P' || n)
    FROM numbers;
    ${numbers} INSERT INTO fills (
      fill_id, order_id, client_order_id, ticker, side, quantity, price, filled_at, position_id
    ) SELECT 'F' || n, 'O' || n, 'C' || n, 'ABC', 'buy', 1, 10.0, n, 'P' || n FROM numbers;
    ${numbers} INSERT INTO portfolio_snapshots (
      snapshot_date, snapshot_time, total_equity, cash_balance, net_liquidation_value
    ) SELECT date(n * 86400, 'unixepoch'), n * 86400, 1.0, 1.0, 1.0 FROM numbers;`,
  );
}

/** Output and exit code of a command line. */
export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command line without a terminal. Its JSON output must match its JSON Schema. */
export async function runCommandLine(
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<CommandResult> {
  const result = await runWarm(args, options);
  await checkDocument(args, result.stdout);
  return result;
}

/** Options of a {@link Program}. */
export interface ProgramOptions {
  /** Code to run before it closes the database. Default: none. */
  readonly last?: string;
}

/** A process that works on a database and keeps it open until it is released. */
export class Program implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
  }

  /**
   * Starts it. On return, `script` has run; it can use `db`, and `open()` for another connection.
   */
  static async start(path: string, script: string, options: ProgramOptions = {}): Promise<Program> {
    const program = `import { DatabaseSync } from "node:sqlite";
      const open = () => new DatabaseSync(${JSON.stringify(path)});
      const db = open();
      ${script};
      Deno.stdout.writeSync(new Uint8Array([1]));
      await Deno.stdin.read(new Uint8Array(1));
      ${options.last ?? ""};
      db.close();`;
    const child = new Deno.Command(Deno.execPath(), {
      args: ["eval", "--quiet", program],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const reader = child.stdout.getReader();
    assert((await reader.read()).value !== undefined, "the program ended too early");
    reader.releaseLock();
    return new Program(child);
  }

  /** Its process id. */
  get pid(): number {
    return this.#child.pid;
  }

  /** Kills it, so that it cannot clean up. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.release();
  }

  /** Lets it end, and waits for that. */
  async release(): Promise<void> {
    await this.#child.stdin.close().catch(() => {});
    await this.#child.stdout.cancel().catch(() => {});
    await this.#child.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}

/** Starts a process that runs `sql` in a write transaction and holds it until released. */
export async function startWriter(path: string, sql: string): Promise<Program> {
  const script = `db.exec("BEGIN IMMEDIATE"); db.exec(${JSON.stringify(sql)})`;
  return await Program.start(path, script, { last: `db.exec("COMMIT")` });
}

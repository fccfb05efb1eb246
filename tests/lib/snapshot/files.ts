/** Helpers for tests that check the files of a snapshot or a kill. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { copyUpgraded, databaseNames, execute, insertRows, type TempDir } from "../../helpers.ts";

/** A seeded generator of numbers from 0 to 1 (linear congruential). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** A seed from an environment variable, or a random one. */
export function seedFrom(variable: string): number {
  return Number(Deno.env.get(variable) ?? Math.floor(Math.random() * 2 ** 31));
}

/** Creates the bot's databases with this many rows in each table. */
export async function makeBot(dir: TempDir, rows = 3): Promise<void> {
  await copyUpgraded(dir.path);
  for (const name of databaseNames) insertRows(dir.database(name), name, rows);
}

/** Adds many larger rows to a table of each database, so that a copy takes a while. */
export function enlarge(dir: TempDir, tag: string, rows = 500): void {
  const many = `WITH RECURSIVE
    numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${rows})`;
  const id = `'${tag}-' || n`;
  const text = `printf('%.*c', 900, '${tag}')`;
  execute(
    dir.database("positions"),
    `INSERT INTO positions
      (position_id, ticker, side, quantity, entry_price, current_price, opened_at, updated_at, metadata)
    ${many} SELECT ${id}, 'AAPL', 'long', n, 1, 1, n, n, ${text} FROM numbers`,
  );
  execute(
    dir.database("trading"),
    `INSERT INTO orders
      (order_id, client_order_id, ticker, order_type, side, quantity, submitted_at, updated_at, metadata)
    ${many} SELECT ${id}, ${id}, 'AAPL', 'market', 'buy', n, n, n, ${text} FROM numbers`,
  );
  execute(
    dir.database("ml_training"),
    `INSERT INTO training_runs
      (run_id, algorithm, model_name, start_time, total_timesteps, train_start_date, train_end_date, metadata)
    ${many} SELECT ${id}, 'PPO', ${id}, n, n, '2025-01-01', '2025-01-02', ${text} FROM numbers`,
  );
}

/** Directory of the snapshots of a data directory. */
export function backupsOf(dir: TempDir): string {
  return join(dir.path, "backups");
}

/** Copies a directory with all its files, which must not be open. */
export function copyTree(from: string, to: string): void {
  Deno.mkdirSync(to, { recursive: true });
  for (const { name, isDirectory } of Deno.readDirSync(from)) {
    if (isDirectory) copyTree(join(from, name), join(to, name));
    else Deno.copyFileSync(join(from, name), join(to, name));
  }
}

/**
 * Size and checksum of every file of a data directory and its snapshots that reading does not
 * change.
 */
export function everythingIn(dir: TempDir): Record<string, string> {
  const files = Object.entries({ ...filesIn(dir.path), ...filesIn(backupsOf(dir)) });
  // Reading makes SQLite create and remove a `-shm` file and an empty log, and a lock file only
  // names its last holder.
  return Object.fromEntries(
    files.filter(([name, text]) =>
      !/-shm$|\.lock$/.test(name) && !(name.endsWith("-wal") && text.startsWith("0 "))
    ),
  );
}

/** Names of the files of a directory; none if it does not exist. */
export function namesIn(directory: string): string[] {
  try {
    return [...Deno.readDirSync(directory)].filter(({ isFile }) => isFile)
      .map(({ name }) => name).toSorted();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Sizes and checksums: short enough to compare by eye. */
function filesIn(directory: string): Record<string, string> {
  return Object.fromEntries(
    namesIn(directory).map((name) => {
      const bytes = Deno.readFileSync(join(directory, name));
      return [name, `${bytes.length} bytes, ${createHash("sha256").update(bytes).digest("hex")}`];
    }),
  );
}

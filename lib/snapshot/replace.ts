import type { Connection } from "../database/connection.ts";
import { parseLocks, readLocks } from "../base/holders.ts";
import { fileItself, isLink } from "../base/paths.ts";
import { openForWriting } from "../database/open.ts";
import { openForReading } from "../database/reading.ts";
import { number, text } from "../database/connection.ts";
import { defaultSettings } from "../database/settings.ts";
import { whileBusy, withTransaction } from "../database/transaction.ts";
import { directoryOf } from "../base/files.ts";
import {
  CatalystError,
  CorruptDatabaseError,
  DatabaseLockedError,
  NotADatabaseError,
  SnapshotError,
} from "../base/errors.ts";
import { plainFile } from "./check.ts";
import { removeDatabase, sizeOf, syncDirectory, syncFile } from "../base/files.ts";
import type { Replacement } from "./journal.ts";
import { partOf } from "../base/files.ts";

/** A file, and the path of the database in whose place it is put. */
export type Placement =
  & Pick<Replacement, "database" | "source" | "compressed" | "temporary">
  & { readonly target: string };

/**
 * Makes a database the same as its source. Where the database is sound, SQLite itself overwrites it
 * in one transaction: other connections may stay open, and no log of the former one survives. A
 * damaged one is moved aside with its log, and kept. Done twice it is the same as once. A link stays
 * a link: it is the file that it leads to which is replaced, and moved aside where that file is.
 *
 * No sound file is opened but by SQLite: closing it would drop the locks of a host that has it open.
 * SQLite itself waits until what it has written is on the disk.
 */
export async function replaceDatabase(replacement: Placement, timeout: number): Promise<void> {
  if (replacement.temporary === "move" && await moveInto(replacement)) return;
  await using plain = await plainFile(replacement.source, replacement.compressed);
  const target = fileItself(replacement.target);
  if (!sizeOf(target) || await prepare(target, plain.path, timeout)) {
    await overwrite(plain.path, target);
  } else {
    await replaceFile(plain.path, target);
  }
  // One that was killed may have left what it had staged.
  removeDatabase(partOf(target));
  await syncDirectory(directoryOf(target));
}

/**
 * Gives a file the name of a database that isn't there; false where meanwhile there is one. A file
 * that is gone was moved when this was done before.
 */
async function moveInto({ source, target }: Placement): Promise<boolean> {
  if (sizeOf(source) === null) return true;
  // A link that somebody has made meanwhile stays one.
  if (sizeOf(target) !== null || isLink(target)) return false;
  // A log of a database that somebody has removed would be replayed into the new one.
  removeDatabase(target);
  Deno.renameSync(source, target);
  await syncDirectory(directoryOf(target));
  return true;
}

/** Makes sure that SQLite can write over a database; false where it is damaged. */
async function prepare(target: string, source: string, timeout: number): Promise<boolean> {
  if (!await isSound(target)) return false;
  await using connection = await openForWriting(
    { kind: "file", path: target },
    { ...defaultSettings, busyTimeout: timeout },
  );
  // SQLite's copying would wait for a writer without end; so it is waited for here, with an end.
  await withTransaction(connection, () => Promise.resolve(), { timeout });
  if (await pageSizeOf(target) === await pageSizeOf(source)) return true;
  // Beside a log all pages must have one size. Leaving it takes that nobody else has it open.
  await whileBusy(connection, () => connection.exec("PRAGMA journal_mode = DELETE"), { timeout });
  return true;
}

async function pageSizeOf(path: string): Promise<number> {
  await using connection = await openForReading({ kind: "file", path }, defaultSettings);
  const row = await connection.get("PRAGMA page_size");
  return row === undefined ? 0 : number(row, "page_size");
}

/** Whether SQLite finds no damage in a database; only then can a snapshot of it be taken. */
export async function isSound(path: string): Promise<boolean> {
  try {
    await using connection = await openForReading({ kind: "file", path }, defaultSettings);
    // What a bot has stored against its own constraints is no damage of the file.
    await connection.exec("PRAGMA ignore_check_constraints = ON");
    const row = await connection.get("PRAGMA quick_check(1)");
    return row !== undefined && text(row, "quick_check") === "ok";
  } catch (error) {
    if (isDamage(error)) return false;
    throw error;
  }
}

async function overwrite(source: string, target: string): Promise<void> {
  await using connection = await openSource(source);
  await connection.copyTo(target);
  // The whole database is in the log now; it need not stay there, but no reader is waited for long.
  await using checkpointing = await openForWriting({ kind: "file", path: target }, defaultSettings);
  await checkpointing.exec("PRAGMA busy_timeout = 1000; PRAGMA wal_checkpoint(TRUNCATE)");
}

/** Opens a source; of one that is gone SQLite would make an empty database, and copy that. */
async function openSource(path: string): Promise<Connection> {
  const bytes = sizeOf(path);
  if (bytes !== null) {
    await using opened = new AsyncDisposableStack();
    const connection = opened.use(
      await openForReading({ kind: "file", path }, defaultSettings),
    );
    const row = await connection.get("PRAGMA page_count");
    if (bytes === 0 || (row !== undefined && number(row, "page_count") > 0)) {
      opened.move();
      return connection;
    }
  }
  throw new SnapshotError(`Cannot restore ${path}: it is gone`, {
    help: "put the file back, then run the command again, or restore another snapshot",
  });
}

async function replaceFile(source: string, target: string): Promise<void> {
  const processes = processesWith(target);
  if (processes.length > 0) {
    throw inUse(target, processes.map((pid) => `process ${pid}`).join(", "));
  }
  const staged = partOf(target);
  removeDatabase(staged);
  {
    await using connection = await openSource(source);
    await connection.copyTo(staged);
  }
  await syncFile(staged);
  const aside = `${target}.damaged_${Math.floor(Date.now() / 1000)}`;
  // The logs go first: beside the new file they would be replayed into it.
  for (const ending of ["-wal", "-shm", "-journal", ""]) {
    if (sizeOf(`${target}${ending}`) === null) continue;
    try {
      Deno.renameSync(`${target}${ending}`, `${aside}${ending}`);
    } catch (error) {
      // Windows lets nobody rename what SQLite has open.
      if (!/os error 32\b/.test(String(error)) || Deno.build.os !== "windows") throw error;
      throw inUse(target, "another process", error);
    }
  }
  Deno.renameSync(staged, target);
}

function inUse(target: string, holders: string, cause?: unknown): DatabaseLockedError {
  return new DatabaseLockedError(`Cannot replace ${target}: ${holders} has it open`, {
    cause,
    help: "stop that program, then run the command again: it will go on where it stopped",
  });
}

/**
 * Processes that have a damaged database open, as far as they hold a lock: a reader of a log counts
 * as well, since it would go on with the file that is moved aside.
 */
function processesWith(path: string): number[] {
  try {
    const inodes = [path, `${path}-shm`].filter((one) => sizeOf(one) !== null)
      .map((one) => Deno.statSync(one).ino);
    const locks = parseLocks(readLocks());
    return [...new Set(locks.filter(({ inode }) => inodes.includes(inode)).map(({ pid }) => pid))];
  } catch {
    return []; // another system, or no permission
  }
}

/** Whether an error says that a database is damaged, so that no snapshot of it can be taken. */
export function isDamage(error: unknown): boolean {
  return error instanceof CatalystError &&
    (error instanceof NotADatabaseError || error instanceof CorruptDatabaseError);
}

import { describeHolders } from "../database/holders.ts";
import { openForWriting } from "../database/open.ts";
import { openForReading } from "../database/reading.ts";
import { number } from "../database/row.ts";
import { defaultSettings } from "../database/settings.ts";
import { withTransaction } from "../database/transaction.ts";
import {
  CatalystError,
  CorruptDatabaseError,
  DatabaseLockedError,
  NotADatabaseError,
} from "../errors.ts";
import { plainFile } from "./check.ts";
import { removeIfThere, sizeOf, syncFile } from "./disk.ts";
import type { Replacement } from "./journal.ts";
import { partOf } from "./name.ts";

/**
 * Makes a database the same as its source. Where the database is sound, SQLite itself overwrites it
 * in one transaction: other connections may stay open, and no log of the former one survives. A
 * damaged one is moved aside with its log, and kept. Done twice it is the same as once.
 */
export async function replaceDatabase(replacement: Replacement, timeout: number): Promise<void> {
  await using plain = await plainFile(replacement.source, replacement.compressed);
  const { target } = replacement;
  const state = await stateOf(target, plain.path, timeout);
  if (state === "unusable") await replaceFile(plain.path, target);
  else await overwrite(plain.path, target);
  await syncFile(target);
}

/** Whether SQLite can write over a database: it can't over a damaged one or one of other pages. */
async function stateOf(
  target: string,
  source: string,
  timeout: number,
): Promise<"missing" | "sound" | "unusable"> {
  if (!sizeOf(target)) return "missing";
  try {
    await using connection = await openForWriting(
      { kind: "file", path: target },
      { ...defaultSettings, busyTimeout: timeout },
    );
    // SQLite's copying would wait for a writer without end; so it is waited for here, with an end.
    await withTransaction(connection, () => Promise.resolve(), { timeout });
    const size = async (path: string) => {
      await using one = await openForReading({ kind: "file", path }, defaultSettings);
      const row = await one.get("PRAGMA page_size");
      return row === undefined ? 0 : number(row, "page_size");
    };
    return await size(target) === await size(source) ? "sound" : "unusable";
  } catch (error) {
    if (error instanceof NotADatabaseError || error instanceof CorruptDatabaseError) {
      return "unusable";
    }
    throw error;
  }
}

async function overwrite(source: string, target: string): Promise<void> {
  await using connection = await openForReading({ kind: "file", path: source }, defaultSettings);
  await connection.copyTo(target);
  // The whole database is in the log now; it need not stay there.
  await using checkpointing = await openForWriting({ kind: "file", path: target }, defaultSettings);
  await checkpointing.exec("PRAGMA wal_checkpoint(TRUNCATE)");
}

async function replaceFile(source: string, target: string): Promise<void> {
  const holders = describeHolders(target);
  if (holders !== "") {
    throw new DatabaseLockedError(`Cannot replace ${target}: ${holders} has it open`, {
      help: "stop that program, then run the command again: it will go on where it stopped",
    });
  }
  const staged = partOf(target);
  removeIfThere(staged);
  {
    await using connection = await openForReading({ kind: "file", path: source }, defaultSettings);
    await connection.copyTo(staged);
  }
  await syncFile(staged);
  const aside = `${target}.damaged_${Math.floor(Date.now() / 1000)}`;
  // The logs go first: beside the new file they would be replayed into it.
  for (const ending of ["-wal", "-shm", "-journal", ""]) {
    if (sizeOf(`${target}${ending}`) !== null) {
      Deno.renameSync(`${target}${ending}`, `${aside}${ending}`);
    }
  }
  Deno.renameSync(staged, target);
}

/** Whether an error says that a database is damaged, so that no snapshot of it can be taken. */
export function isDamage(error: unknown): boolean {
  return error instanceof CatalystError &&
    (error instanceof NotADatabaseError || error instanceof CorruptDatabaseError);
}

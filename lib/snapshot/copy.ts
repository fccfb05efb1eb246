import { countRows } from "../schema/tables.ts";
import type { Connection, CopyProgress } from "../database/connection.ts";
import { fileItself, mayBeThere } from "../base/paths.ts";
import { openPrivateFile } from "../database/reading.ts";
import { number, text } from "../database/connection.ts";
import { defaultSettings } from "../database/settings.ts";
import { CorruptDatabaseError, InterruptedError } from "../base/errors.ts";
import type { StopFlag } from "../base/lock.ts";
import { readMarkers } from "../state/marker.ts";
import { digestFile } from "./digest.ts";
import { partOf } from "../base/files.ts";
import { removeIfThere, syncFile } from "../base/files.ts";
import type { Pinned } from "./pin.ts";

/** How thoroughly a copy is checked. */
export type CopyCheck = "quick" | "full" | "none";

/** How far a snapshot has come. */
export interface SnapshotProgress {
  /** Name of the database that is being copied. */
  readonly database: string;
  /** Pages copied. */
  readonly done: number;
  /** Pages in all. */
  readonly total: number;
}

/** How a database is copied. */
export interface CopyJob {
  /** Path of the copy; it has an ending of its own until the caller renames it. */
  readonly target: string;
  readonly verify: CopyCheck;
  readonly compress: boolean;
  readonly onProgress?: ((progress: SnapshotProgress) => void) | undefined;
  readonly signal?: StopFlag | undefined;
}

/** What a copy is like. */
export interface Copy {
  readonly sizeBytes: number;
  readonly sha256: string | null;
  readonly rows: Readonly<Record<string, number>>;
  readonly migrations: readonly string[];
}

/** Copies a pinned database into `target.part`, checks it, and waits until it is on the disk. */
export async function copyPinned(pinned: Pinned, job: CopyJob): Promise<Copy> {
  const { database, connection } = pinned;
  const plain = job.compress ? partOf(`${job.target}.plain`) : partOf(job.target);
  const path = partOf(job.target);
  const report = ({ done, total }: CopyProgress) => {
    if (job.signal?.aborted) {
      throw new InterruptedError("Cannot take a snapshot: interrupted", {
        help: "nothing of it is left",
      });
    }
    job.onProgress?.({ database, done, total });
  };
  // A small database is copied at once, of which SQLite says nothing.
  const pages = await connection.get("PRAGMA page_count");
  const total = pages === undefined ? 0 : number(pages, "page_count");
  report({ done: 0, total });
  await connection.copyTo(plain, { onProgress: report });
  await syncFile(plain);
  report({ done: total, total });
  if (job.compress) await compress(plain, path);
  const looks = [
    job.verify === "none" ? null : digestFile(path, job.signal),
    examine(plain, job.verify).catch((error) => {
      throw aboutOriginal(error, connection.label);
    }),
  ] as const;
  // Where one of them fails too: Windows keeps what is removed while it is still read.
  await Promise.allSettled(looks);
  const [sha256, content] = await Promise.all(looks);
  if (job.compress) Deno.removeSync(plain);
  return { sizeBytes: Deno.statSync(path).size, sha256, ...content };
}

/**
 * Checks a database file by SQLite's own means, and says what is in it. Read-only, SQLite looks at
 * every page and leaves out the rows' `CHECK` constraints: what a bot has stored is to be kept, not to
 * be judged.
 */
export async function examine(
  path: string,
  verify: CopyCheck,
): Promise<Pick<Copy, "rows" | "migrations">> {
  const itself = fileItself(path);
  const hadLog = mayBeThere(`${itself}-wal`);
  try {
    await using connection = await openPrivateFile(path, defaultSettings);
    if (verify !== "none") await check(connection, verify);
    const { markers } = await readMarkers(connection);
    return {
      rows: Object.fromEntries(await countRows(connection)),
      migrations: (markers ?? []).map(({ id }) => id),
    };
  } finally {
    if (!hadLog) { for (const ending of ["-wal", "-shm"]) removeIfThere(`${itself}${ending}`); }
  }
}

/** The copy will be gone; what a person has to know of is the database that it was made of. */
function aboutOriginal(error: unknown, label: string): unknown {
  if (!(error instanceof CorruptDatabaseError)) return error;
  const reason = error.message.replace(/^Cannot [^:]*: /, "");
  return new CorruptDatabaseError(`Cannot take a snapshot of ${label}: ${reason}`, {
    cause: error,
    help:
      "older snapshots are as they were: `backup list` shows them, and `restore` goes back to one",
  });
}

async function check(connection: Connection, verify: "quick" | "full"): Promise<void> {
  const pragma = verify === "full" ? "integrity_check" : "quick_check";
  const lines = (await connection.all(`PRAGMA ${pragma}(3)`)).map((row) => text(row, pragma));
  if (lines.every((line) => line === "ok")) return;
  const found = lines.map((line) => line.replace(/^\*{3} in database \w+ \*{3}\n/, ""));
  throw new CorruptDatabaseError(
    `Cannot use ${connection.label}: it is damaged: ${found.join("; ")}`,
    { help: "older snapshots are as they were; `backup list` shows them" },
  );
}

async function compress(from: string, to: string): Promise<void> {
  using source = await Deno.open(from);
  using target = await Deno.open(to, { write: true, create: true, truncate: true });
  await source.readable.pipeThrough(new CompressionStream("gzip")).pipeTo(target.writable);
  await syncFile(to);
}

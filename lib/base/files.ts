import { fileItself, sizeBeside } from "../database/location.ts";
import { DiskFullError } from "./errors.ts";

/** Whether an error of the system says that a disk, or what a user may have of it, is full. */
export function isFullDisk(error: unknown): boolean {
  return error instanceof Error && /os error (28|112|122)\b/.test(error.message);
}

/** Waits until a file is on the disk. */
export async function syncFile(path: string): Promise<void> {
  using file = await Deno.open(path, { read: true, write: true });
  await file.sync();
}

/** Waits until the names in a directory are on the disk; where directories can't be opened it does nothing. */
export async function syncDirectory(path: string): Promise<void> {
  if (Deno.build.os === "windows") return;
  using directory = await Deno.open(path);
  await directory.sync();
}

/** Writes a new text file and waits until it is on the disk. */
export async function writeDurably(path: string, text: string): Promise<void> {
  await Deno.writeTextFile(path, text);
  await syncFile(path);
}

/** Removes a file if it is there. */
export function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Removes a database if it is there, with the files that SQLite keeps beside it while it works. */
export function removeDatabase(path: string): void {
  for (const ending of ["-journal", "-wal", "-shm", ""]) removeIfThere(`${path}${ending}`);
}

/** Size of a file in bytes; null where there is none. */
export function sizeOf(path: string): number | null {
  try {
    return Deno.statSync(path).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** Size of a database's log in bytes; 0 where there is none, or it can't be looked at. */
export function logSizeOf(path: string): number {
  return sizeBeside(fileItself(path), "-wal") ?? 0;
}

/** Whether there is a file of that name, and nothing else. */
export function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Who asks for room. */
export interface RoomOptions {
  /** Flag by which another directory is named. Default `--out`. */
  readonly flag?: string;
}

/**
 * Refuses to begin what would not fit.
 *
 * @throws {DiskFullError} where a directory's disk has less room than `bytes`. Where Deno may not
 * ask for it, the disk itself will say so.
 */
export async function requireRoom(
  directory: string,
  bytes: number,
  { flag = "--out" }: RoomOptions = {},
): Promise<void> {
  const room = await roomIn(directory);
  if (room === null || room >= bytes) return;
  throw new DiskFullError(
    `Cannot write to ${directory}: ${megabytes(bytes)} are needed, and ${megabytes(room)} are free`,
    { help: `free some space, or name another directory with ${flag}; nothing was written` },
  );
}

/** Free bytes of a directory's disk; null where they can't be told. */
export async function roomIn(directory: string): Promise<number | null> {
  try {
    const { statfsSync } = await import("node:fs");
    const { bavail, bsize } = statfsSync(directory);
    return Number(bavail) * Number(bsize);
  } catch {
    return null;
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

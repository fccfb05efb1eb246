import { messageOf } from "../base/format.ts";
import { AccessError, DiskFullError } from "../base/errors.ts";
import { isFullDisk, modeLike, removeIfThere, syncDirectory } from "../base/files.ts";
import {
  denied,
  directoryOf,
  fileIdentity,
  partFileOf,
  refuseOwnLink,
  seeFile,
  specialKind,
} from "../base/paths.ts";
import type { Bytes } from "./export_formats.ts";
import { manifestFile } from "../snapshot/names.ts";
import { listSnapshots, storeLock } from "../snapshot/store.ts";
import {
  lockBeside,
  partsOf,
  resolvedPath,
  restoreJournal,
  type Workspace,
} from "../state/workspace.ts";

/** Destination of the bytes. */
interface ByteSink {
  /** Writes some of the bytes, at least one, and returns how many. */
  write(bytes: Uint8Array): Promise<number>;
}

/** Options for writing a file. */
interface WriteFileOptions {
  /**
   * File whose permissions the new one gets: the exported database. Default: decided by the umask.
   */
  readonly like?: string;
}

/**
 * Name of a file while it is being written. No other program uses it, so that the next export to
 * the same path may overwrite what a killed one has left.
 */
function unfinished(path: string): string {
  return partFileOf(`${path}.catalyst`);
}

/**
 * Writes a stream to a file and syncs it. Until then it has a temporary name, so that a file with
 * the requested name is complete.
 *
 * @throws {DiskFullError | AccessError} if it can't be written; an existing file is unchanged.
 */
export async function writeFile(
  path: string,
  stream: ReadableStream<Bytes>,
  { like }: WriteFileOptions = {},
): Promise<number> {
  try {
    // A device or a pipe has no content to keep, and must not be replaced by a file.
    if (await isDevice(path)) {
      using device = await Deno.open(path, { write: true });
      return await writeAll(device, stream);
    }
    const part = unfinished(path);
    using file = await openPart(part, {
      path,
      mode: like === undefined ? undefined : modeLike(like),
    });
    try {
      await file.truncate(); // a killed export may have begun it
      const size = await writeAll(file, stream);
      await file.sync();
      await Deno.rename(part, path);
      await syncDirectory(directoryOf(path)).catch((error) => {
        // With permissions for single files Deno may not open the directory; the file is complete.
        if (!(error instanceof Deno.errors.NotCapable)) throw error;
      });
      return size;
    } catch (error) {
      if (await isStillThere(file, part)) removeIfThere(part);
      throw error;
    }
  } catch (error) {
    await stream.cancel().catch(() => {}); // it may have failed, or have ended
    throw unwritable(path, error);
  }
}

/** Writes a text to a file as {@link writeFile} does; returns its size in bytes. */
export async function writeText(
  path: string,
  text: string,
  options: WriteFileOptions = {},
): Promise<number> {
  const bytes: Bytes = new TextEncoder().encode(text);
  return await writeFile(path, new Blob([bytes]).stream(), options);
}

/**
 * Opens the file to be written, and takes its lock, which is released with the process. Otherwise
 * two exports into one file would mix, and one could continue in the other's finished file.
 */
async function openPart(
  part: string,
  { path, mode }: { readonly path: string; readonly mode: number | undefined },
): Promise<Deno.FsFile> {
  for (;;) {
    refuseOwnLink(part);
    const file = await Deno.open(part, {
      write: true,
      create: true,
      ...(mode === undefined ? {} : { mode: mode | 0o200 }),
    });
    try {
      // A file system without locks must not prevent an export.
      if (!await file.tryLock(true).catch(() => true)) {
        throw new AccessError(`Cannot write ${path}: another export is writing it`, {
          help: "wait until that one has ended, or name another file",
        });
      }
      // Between opening and locking, another export may have renamed it.
      if (await isStillThere(file, part)) {
        // A killed export may have made it readable for others.
        const { mode: former } = await file.stat();
        if (mode !== undefined && former !== null && (former & 0o666 & ~mode & ~0o200) !== 0) {
          await Deno.chmod(part, mode | 0o200);
        }
        return file;
      }
    } catch (error) {
      file.close();
      throw error;
    }
    file.close();
  }
}

async function isStillThere(file: Deno.FsFile, path: string): Promise<boolean> {
  const opened = await file.stat();
  const found = await Deno.stat(path).catch((error) =>
    error instanceof Deno.errors.NotFound ? null : opened
  );
  return found !== null && found.ino === opened.ino && found.dev === opened.dev;
}

async function isDevice(path: string): Promise<boolean> {
  const found = await Deno.stat(path).catch(() => null);
  if (found?.isDirectory) {
    throw new AccessError(`Cannot write ${path}: it is a directory`, { help: "name a file in it" });
  }
  return found !== null && !found.isFile;
}

/** Writes a stream to an open destination; returns the number of bytes. */
export async function writeAll(sink: ByteSink, stream: ReadableStream<Bytes>): Promise<number> {
  let size = 0;
  // The next chunk is made while one is written.
  let written: Promise<void> = Promise.resolve();
  for await (const chunk of stream.values({ preventCancel: true })) {
    await written;
    written = writeChunk(sink, chunk);
    written.catch(() => {}); // awaited in the next turn, or at the end
    size += chunk.length;
  }
  await written;
  return size;
}

async function writeChunk(sink: ByteSink, chunk: Uint8Array): Promise<void> {
  for (let rest = chunk; rest.length > 0;) rest = rest.subarray(await sink.write(rest));
}

/** Explains why a file can't be written; other errors are returned unchanged. */
export function unwritable(path: string, error: unknown): unknown {
  const message = messageOf(error);
  const options = { cause: error };
  if (isFullDisk(error)) {
    return new DiskFullError(`Cannot write ${path}: the disk is full`, {
      ...options,
      help: "free some space, or choose another location with --out; no partial file remains",
    });
  }
  if (error instanceof Deno.errors.BrokenPipe) {
    return new AccessError(`Cannot write ${path}: the reader has stopped`, {
      ...options,
      help: "the database is unaffected; only part of the output was read",
    });
  }
  if (error instanceof Deno.errors.NotCapable) {
    const { reason, help } = denied(message, "give it read and write permission on that directory");
    return new AccessError(`Cannot write ${path}: ${reason}`, { ...options, help });
  }
  if (/os error \d+/.test(message)) {
    // The rest names the unfinished file.
    return new AccessError(
      `Cannot write ${path}: ${message.replace(/ \(os error \d+\).*$/s, "")}`,
      {
        ...options,
        help: "check that its directory exists, and that this user may write to it",
      },
    );
  }
  return error;
}

/** Options for a file that the user wants to write. */
export interface OutputFileOptions {
  /** Whether an existing file may be replaced. Default `false`. */
  readonly force?: boolean;
  /** Flag that named it. Default `--out`. */
  readonly flag?: string;
  /** Directory of the user's migrations, whose files must not be replaced. Default: none. */
  readonly migrationsDir?: string | null;
  /** Path of the configuration file. Default: none. */
  readonly configuration?: string | undefined;
}

/**
 * Refuses to write a file over something else. Nothing that belongs to these databases is replaced,
 * nor any other database or snapshot; `force` allows it for other files only. Devices such as
 * `/dev/null` may be written to.
 *
 * @throws {AccessError} naming what the path belongs to.
 */
export async function refuseOccupied(
  workspace: Workspace,
  path: string,
  options: OutputFileOptions = {},
): Promise<void> {
  const { force = false, flag = "--out" } = options;
  const reason = await whyOwned(workspace, path, options);
  if (reason !== null) {
    throw new AccessError(`Cannot write ${path}: ${reason}`, {
      help: `name another file with ${flag}; nothing was written`,
    });
  }
  if (force || !isTaken(path)) return;
  throw new AccessError(`Cannot write ${path}: it already exists`, {
    help: flag === "--out"
      ? "name another file, or add --force to replace it; nothing was written"
      : `name another file with ${flag}; nothing was written`,
  });
}

/** What {@link whyOwned} needs to know of a file. */
interface OwnedOptions extends Pick<OutputFileOptions, "migrationsDir" | "configuration"> {
  /** Whether it may be the place of a configured database, as for a copy. Default `false`. */
  readonly mayBeDatabase?: boolean;
}

/** Why a path must not be written, as part of a message; null if it belongs to nothing known. */
export async function whyOwned(
  workspace: Workspace,
  path: string,
  { migrationsDir, configuration, mayBeDatabase = false }: OwnedOptions = {},
): Promise<string | null> {
  const place = placeOf(path);
  const is = (owned: string) => owned !== ":memory:" && place === placeOf(owned);
  const pathOf = (what: string) => `it is the path of ${what}`;
  if (configuration !== undefined && is(configuration)) return pathOf("the configuration");
  for (const [database, { path }] of workspace.locations) {
    if (is(path)) return mayBeDatabase ? null : pathOf(`database ${database}`);
  }
  if (is(workspace.ledger.path)) return mayBeDatabase ? null : pathOf("the ledger");
  for (const [owned, what] of ownedFiles(workspace)) if (is(owned)) return pathOf(what);
  const directory = directoryOf(path);
  const name = nameOf(path);
  const isIn = (other: string) => placeOf(directory) === placeOf(other);
  if (
    migrationsDir !== undefined && migrationsDir !== null && /^\d+_.*\.(sql|ts|js)$/i.test(name) &&
    isIn(migrationsDir)
  ) return pathOf("a migration");
  // SQLite keeps its log beside a database.
  const resolved = resolvedPath(path);
  const logged = resolved.replace(/-(wal|shm|journal)$/, "");
  const reason = logged === resolved ? null : await whyOwned(workspace, logged);
  if (reason !== null) return reason;
  if (seeFile(path)?.isFile === true) {
    if (isDatabase(path)) return pathOf("a database");
    const isSnapshot = (await listSnapshots(directory)).some((one) =>
      name === manifestFile(one.name) || one.manifest?.files.some(({ file }) => file === name)
    );
    if (isSnapshot) return pathOf("a snapshot");
  }
  return /\.db|^snapshot_/.test(name) && isIn(workspace.backups)
    ? "it is among the snapshots"
    : null;
}

/** Other files that belong to the databases, except logs, whether they exist or not. */
function* ownedFiles(workspace: Workspace): Generator<readonly [path: string, what: string]> {
  const { ledgerFile, backups, registry } = workspace;
  for (const part of partsOf(workspace)) yield [part, "an unfinished database"];
  if (ledgerFile !== ":memory:") {
    yield [lockBeside(ledgerFile), "a lock"];
    yield [restoreJournal(ledgerFile), "the journal of a restore"];
    yield [`${restoreJournal(ledgerFile)}.part`, "the journal of a restore"];
  }
  yield [storeLock(backups), "a lock"];
  for (const { source } of registry.migrations) {
    if (source !== undefined) yield [source.path, "a migration"];
  }
}

/** The same value for all paths that lead to one file, or will once it exists. */
function placeOf(path: string): string {
  return fileIdentity(path) ?? resolvedPath(path);
}

/** Whether writing would replace something: a file, or a link, whatever its target. */
function isTaken(path: string): boolean {
  try {
    const info = Deno.lstatSync(path);
    return info.isSymlink || specialKind(info) === null;
  } catch {
    return false; // writing reports the problem
  }
}

function nameOf(path: string): string {
  return path.replace(/^.*[/\\]/, "");
}

/** Whether a file begins as SQLite's do. The program must not have it open. */
function isDatabase(path: string): boolean {
  try {
    using file = Deno.openSync(path);
    const header = new Uint8Array(16);
    return file.readSync(header) === 16 &&
      new TextDecoder().decode(header) === "SQLite format 3\0";
  } catch {
    return false; // writing reports the problem
  }
}

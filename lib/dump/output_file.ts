import { messageOf } from "../base/format.ts";
import { AccessError, DiskFullError } from "../base/errors.ts";
import { isFullDisk, modeLike, removeIfThere, syncDirectory } from "../base/files.ts";
import { denied, directoryOf, partOf, refuseOwnLink } from "../base/paths.ts";
import type { Bytes } from "./export_formats.ts";

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
  return partOf(`${path}.catalyst`);
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
      await syncDirectory(directoryOf(path));
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
    const { reason, help } = denied(message, "give it write permission on that directory");
    return new AccessError(`Cannot write ${path}: ${reason}`, { ...options, help });
  }
  if (/os error \d+/.test(message)) {
    return new AccessError(`Cannot write ${path}: ${message}`, {
      ...options,
      help: "check that its directory exists, and that this user may write to it",
    });
  }
  return error;
}

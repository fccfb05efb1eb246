import { messageOf } from "../base/format.ts";
import { AccessError, DiskFullError } from "../base/errors.ts";
import { isFullDisk, modeLike, removeIfThere, syncDirectory } from "../base/files.ts";
import { denied, directoryOf, partOf, refuseOwnLink } from "../base/paths.ts";
import type { Bytes } from "./export_formats.ts";

/** What bytes are written to. */
interface ByteSink {
  /** Writes some of the bytes, at least one, and tells how many. */
  write(bytes: Uint8Array): Promise<number>;
}

/** How a file is written. */
interface WriteFileOptions {
  /** File that tells who may read the new one: the database it is of. Default: as the umask says. */
  readonly like?: string;
}

/**
 * Name of a file while it is being written. No other program uses it, so that the next export to the
 * same place may write over what a killed one has left.
 */
function unfinished(path: string): string {
  return partOf(`${path}.catalyst`);
}

/**
 * Writes a stream to a file and waits until it is on the disk. Until then it has another name: a file
 * of the name that was asked for is whole.
 *
 * @throws {DiskFullError | AccessError} if it can't be written; what was there before is as it was.
 */
export async function writeFile(
  path: string,
  stream: ReadableStream<Bytes>,
  { like }: WriteFileOptions = {},
): Promise<number> {
  try {
    // A device or a pipe has nothing that could be kept, and must not be replaced by a file.
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
      await file.truncate(); // an export that was killed may have begun it
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
    await stream.cancel().catch(() => {}); // it may be what failed, or be at its end
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
 * Opens the file that is being written, and takes its lock, which goes with the process: two exports
 * into one file would else mix, and one go on in what the other has finished.
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
      // A file system that knows no locks must not keep anybody from exporting.
      if (!await file.tryLock(true).catch(() => true)) {
        throw new AccessError(`Cannot write ${path}: another export is writing it`, {
          help: "wait until that one has ended, or name another file",
        });
      }
      // Between opening and locking, the other one may have given it its name.
      if (await isStillThere(file, part)) {
        // One that was killed may have made it readable for more.
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

/** Writes a stream to what is open already; returns how many bytes it was. */
export async function writeAll(sink: ByteSink, stream: ReadableStream<Bytes>): Promise<number> {
  let size = 0;
  // While a chunk is written, the next one is made.
  let written: Promise<void> = Promise.resolve();
  for await (const chunk of stream.values({ preventCancel: true })) {
    await written;
    written = writeChunk(sink, chunk);
    written.catch(() => {}); // it is waited for in the next turn, or at the end
    size += chunk.length;
  }
  await written;
  return size;
}

async function writeChunk(sink: ByteSink, chunk: Uint8Array): Promise<void> {
  for (let rest = chunk; rest.length > 0;) rest = rest.subarray(await sink.write(rest));
}

/** Says what it means that a file can't be written; other errors stay as they are. */
export function unwritable(path: string, error: unknown): unknown {
  const message = messageOf(error);
  const options = { cause: error };
  if (isFullDisk(error)) {
    return new DiskFullError(`Cannot write ${path}: the disk is full`, {
      ...options,
      help: "free some space, or name another place with --out; no half file is left",
    });
  }
  if (error instanceof Deno.errors.BrokenPipe) {
    return new AccessError(`Cannot write ${path}: whoever read it has stopped`, {
      ...options,
      help: "nothing is wrong with the database; what was read is only a part of it",
    });
  }
  if (error instanceof Deno.errors.NotCapable) {
    const { reason, help } = denied(message, "give it write permission on that directory");
    return new AccessError(`Cannot write ${path}: ${reason}`, { ...options, help });
  }
  if (/os error \d+/.test(message)) {
    return new AccessError(`Cannot write ${path}: ${message}`, {
      ...options,
      help: "check that its directory is there, and that this user may write to it",
    });
  }
  return error;
}

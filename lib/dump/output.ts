import { AccessError, DiskFullError } from "../errors.ts";
import { isFullDisk, removeIfThere, syncDirectory } from "../disk.ts";
import { directoryOf } from "../directory.ts";
import { partOf } from "../snapshot/name.ts";
import type { Bytes } from "./render.ts";

/** What bytes are written to. */
export interface ByteSink {
  /** Writes some of the bytes, at least one, and tells how many. */
  write(bytes: Uint8Array): Promise<number>;
}

/**
 * Writes a stream to a file and waits until it is on the disk. Until then it has another name: a file
 * of the name that was asked for is whole.
 *
 * @throws {DiskFullError | AccessError} where it can't be written; what was there before is as it was.
 */
export async function writeFile(path: string, stream: ReadableStream<Bytes>): Promise<number> {
  const part = partOf(path);
  try {
    // A device or a pipe has nothing that could be kept, and must not be replaced by a file.
    if (await isDevice(path)) return await writePart(path, stream, { isDevice: true });
    const size = await writePart(part, stream);
    await Deno.rename(part, path);
    await syncDirectory(directoryOf(path));
    return size;
  } catch (error) {
    await stream.cancel().catch(() => {}); // it may be what failed, or be at its end
    try {
      removeIfThere(part);
    } catch {
      // It could not even be made; that is what will be reported.
    }
    throw unwritable(path, error);
  }
}

async function isDevice(path: string): Promise<boolean> {
  const found = await Deno.stat(path).catch(() => null);
  if (found?.isDirectory) {
    throw new AccessError(`Cannot write ${path}: it is a directory`, { help: "name a file in it" });
  }
  return found !== null && !found.isFile;
}

async function writePart(
  path: string,
  stream: ReadableStream<Bytes>,
  { isDevice = false } = {},
): Promise<number> {
  using file = await Deno.open(path, { write: true, create: !isDevice, truncate: !isDevice });
  const size = await writeAll(file, stream);
  if (!isDevice) await file.sync();
  return size;
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
  const message = error instanceof Error ? error.message : String(error);
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
  if (error instanceof Deno.errors.NotCapable || /os error \d+/.test(message)) {
    return new AccessError(`Cannot write ${path}: ${message}`, {
      ...options,
      help: "check that its directory is there, and that this user may write to it",
    });
  }
  return error;
}

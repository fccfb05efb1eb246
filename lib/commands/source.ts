import { AccessError } from "../base/errors.ts";
import { refuseSpecialFile } from "../base/paths.ts";

/** A file to import, as a stream. */
export interface ImportSource {
  readonly stream: ReadableStream<Uint8Array>;
  /** What it is called in messages. */
  readonly label: string;
  /** Size in bytes; null where that can't be known. */
  readonly size: number | null;
}

/** Bytes that are read at once. */
const READ_SIZE = 128 * 1024;

/**
 * Opens a file, or stdin by `-`.
 *
 * @throws {AccessError} where there is none, or it may not be read.
 */
export async function openSource(file: string): Promise<ImportSource> {
  if (file === "-") return { stream: Deno.stdin.readable, label: "stdin", size: null };
  // A shell's `<(…)` is a pipe that somebody writes into already.
  if (!/^\/dev\/(stdin|fd\/\d+)$/.test(file)) {
    const help = "name a file, or let the program write into `import -`";
    refuseSpecialFile(file, { cannot: "import", help });
  }
  try {
    const opened = await Deno.open(file);
    const { isFile, size } = await opened.stat();
    return { stream: streamOf(opened), label: file, size: isFile ? size : null };
  } catch (error) {
    const message = error instanceof Deno.errors.NotFound
      ? "there is no such file"
      : error instanceof Error
      ? error.message
      : String(error);
    throw new AccessError(`Cannot read ${file}: ${message}`, {
      cause: error,
      help: "name a file that this user may read; nothing was changed",
    });
  }
}

/** Reads a file in larger chunks than its own stream does. */
function streamOf(file: Deno.FsFile): ReadableStream<Uint8Array> {
  return new ReadableStream({
    async pull(controller) {
      const chunk = new Uint8Array(READ_SIZE);
      const length = await file.read(chunk);
      if (length !== null) return controller.enqueue(chunk.subarray(0, length));
      file.close();
      controller.close();
    },
    cancel: () => file.close(),
  }, { highWaterMark: 1 });
}

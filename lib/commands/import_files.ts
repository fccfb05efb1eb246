/**
 * The input of `import`, and the file for rows that it can't insert.
 *
 * @module
 */
import { AccessError } from "../base/errors.ts";
import { messageOf } from "../base/format.ts";
import { refuseSpecialFile } from "../base/paths.ts";
import type { BadRow } from "../dump/import_target.ts";

/** A file to import, as a stream. */
export interface ImportSource {
  readonly stream: ReadableStream<Uint8Array>;
  /** Its name in messages. */
  readonly label: string;
  /** Size in bytes; null if unknown. */
  readonly size: number | null;
}

/**
 * Opens a file, or stdin for `-`.
 *
 * @throws {AccessError} if it does not exist, or can't be read.
 */
export async function openSource(file: string): Promise<ImportSource> {
  if (file === "-") return { stream: Deno.stdin.readable, label: "stdin", size: null };
  // A shell's `<(…)` is a pipe that a process is already writing to.
  if (!/^\/dev\/(stdin|fd\/\d+)$/.test(file)) {
    const help = "name a file, or let the program write into `import -`; nothing was changed";
    refuseSpecialFile(file, { cannot: "import", help });
  }
  try {
    const opened = await Deno.open(file);
    const { isFile, size } = await opened.stat();
    return { stream: opened.readable, label: file, size: isFile ? size : null };
  } catch (error) {
    const message = error instanceof Deno.errors.NotFound ? "file not found" : messageOf(error);
    throw new AccessError(`Cannot read ${file}: ${message}`, {
      cause: error,
      help: "name a file that this user may read; nothing was changed",
    });
  }
}

/** Where bad rows are written. */
interface BadRowFile extends Disposable {
  /** Number of its rows. */
  readonly count: number;
  take(bad: BadRow): void;
  /** Keeps the file, because the other rows were imported. */
  keep(): void;
}

/** Creates the file at the first bad row, and removes it if nothing is imported. */
export function badRowsInto(path: string | undefined): BadRowFile | null {
  if (path === undefined) return null;
  const encoder = new TextEncoder();
  let file: Deno.FsFile | null = null;
  let isKept = false;
  let count = 0;
  const write = (text: string) => {
    let rest: Uint8Array = encoder.encode(`${text}\n`);
    while (rest.length > 0) rest = rest.subarray(file?.writeSync(rest) ?? rest.length);
  };
  return {
    get count() {
      return count;
    },
    take({ text, header }) {
      count++;
      if (file === null) {
        file = create(path);
        if (header !== null) write(header);
      }
      write(text);
    },
    keep: () => isKept = true,
    [Symbol.dispose]() {
      file?.close();
      if (file !== null && !isKept) Deno.removeSync(path);
    },
  };
}

function create(path: string): Deno.FsFile {
  try {
    return Deno.openSync(path, { write: true, createNew: true });
  } catch (error) {
    const message = error instanceof Deno.errors.AlreadyExists ? "it exists" : messageOf(error);
    throw new AccessError(`Cannot write bad rows to ${path}: ${message}`, {
      cause: error,
      help: "name another file with --skip-bad-rows; nothing was imported",
    });
  }
}

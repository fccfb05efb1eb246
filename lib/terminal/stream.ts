import { AccessError, DiskFullError } from "../errors.ts";

/** A stream as {@link createWriter} needs it; `Deno.stdout` and `Deno.stderr` are such. */
export interface SyncStream {
  /** Writes some of the bytes, at least one, and tells how many. */
  writeSync(bytes: Uint8Array): number;
}

/**
 * Makes a function that writes all of a text before it returns. Once the reader has gone away
 * (`status | head -1`) it drops what it is given: that is no failure of the command.
 */
export function createWriter(stream: SyncStream): (text: string) => void {
  const encoder = new TextEncoder();
  let open = true;
  return (text) => {
    let rest = encoder.encode(text);
    while (open && rest.length > 0) {
      try {
        rest = rest.subarray(stream.writeSync(rest));
      } catch (error) {
        if (error instanceof Deno.errors.BrokenPipe) open = false;
        // Another process that shares the pipe has made it non-blocking, and the pipe is full.
        else if (error instanceof Deno.errors.WouldBlock) sleep(1);
        else throw unwritable(error);
      }
    }
  };
}

function unwritable(error: unknown): Error {
  const message = error instanceof Error ? error.message : String(error);
  const options = { cause: error, help: "the command's work is done; `status` shows the state" };
  return /os error (28|112|122)\b/.test(message)
    ? new DiskFullError("Cannot write the output: the disk is full", options)
    : new AccessError(`Cannot write the output: ${message}`, options);
}

function sleep(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

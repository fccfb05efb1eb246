import { InterruptedError } from "../base/errors.ts";
import type { StopFlag } from "../base/lock.ts";

/** Bytes that are read at once. */
const CHUNK = 1 << 20;

/** SHA-256 of a file in hexadecimal, without having it in memory. */
export async function digestFile(path: string, signal?: StopFlag): Promise<string> {
  // Web Crypto would need the whole file at once.
  const { createHash } = await import("node:crypto");
  const hash = createHash("sha256");
  using file = await Deno.open(path);
  const chunk = new Uint8Array(CHUNK);
  for (;;) {
    const length = await file.read(chunk);
    if (length === null) return hash.digest("hex");
    hash.update(chunk.subarray(0, length));
    if (signal?.aborted) {
      throw new InterruptedError(`Cannot take a snapshot: interrupted`, {
        help: "nothing of it is left",
      });
    }
  }
}

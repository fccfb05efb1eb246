/**
 * Takes a snapshot on a separate thread: SQLite's copying blocks its thread, and the library's host
 * may be a trading bot. Both ends are in this file, so that a package's cache or an executable
 * always has both.
 *
 * @module
 */
import { SnapshotError } from "../base/errors.ts";
import { mayStartThread, recreateError, serveThread, type ThreadFailure } from "../base/thread.ts";
import {
  runSnapshot,
  type SnapshotControl,
  type SnapshotJob,
  type SnapshotProgress,
} from "./take.ts";
import type { Manifest } from "./manifest.ts";

const THREAD = "catalyst-migrate snapshot";

/** Request to the thread. */
interface SnapshotRequest {
  readonly job: SnapshotJob;
  /** One number, set to 1 to stop the work; the busy thread would not receive a message. */
  readonly stop: SharedArrayBuffer;
}

/** Message from the thread. */
type SnapshotAnswer =
  | { readonly kind: "progress"; readonly progress: SnapshotProgress }
  | { readonly kind: "done"; readonly manifest: Manifest };

/** Takes a snapshot on a separate thread, or on this one if a thread may not be started. */
export async function runSnapshotInThread(
  job: SnapshotJob,
  control: SnapshotControl & { readonly signal?: AbortSignal | undefined },
): Promise<Manifest> {
  const module = new URL(import.meta.url);
  if (!mayStartThread(module, "/lib/snapshot/thread.ts")) return await runSnapshot(job, control);
  const stop = new SharedArrayBuffer(4);
  const abort = () => Atomics.store(new Int32Array(stop), 0, 1);
  if (control.signal?.aborted) abort();
  control.signal?.addEventListener("abort", abort);
  let thrown: { readonly error: unknown } | null = null;
  const worker = new Worker(module, { type: "module", name: THREAD });
  try {
    return await new Promise((resolve, reject) => {
      worker.onerror = (event) => {
        event.preventDefault();
        reject(new SnapshotError(`Cannot take a snapshot: ${event.message}`));
      };
      worker.onmessage = ({ data }: MessageEvent<SnapshotAnswer | ThreadFailure>) => {
        if (data.kind === "progress") {
          try {
            control.onProgress?.(data.progress);
          } catch (error) {
            // As without a thread: an error in the caller's function ends the work and is the
            // result.
            thrown ??= { error };
            abort();
          }
        } else if (thrown !== null) reject(thrown.error);
        else if (data.kind === "done") resolve(data.manifest);
        else reject(recreateError(data, (...failure) => new SnapshotError(...failure)));
      };
      worker.postMessage({ job, stop } satisfies SnapshotRequest);
    });
  } finally {
    control.signal?.removeEventListener("abort", abort);
    worker.terminate();
  }
}

serveThread<SnapshotRequest, SnapshotAnswer>(THREAD, async ({ job, stop }, answer) => {
  const flag = new Int32Array(stop);
  const signal = {
    get aborted(): boolean {
      return Atomics.load(flag, 0) === 1;
    },
  };
  const onProgress = (progress: SnapshotProgress) => answer({ kind: "progress", progress });
  answer({ kind: "done", manifest: await runSnapshot(job, { signal, onProgress }) });
});

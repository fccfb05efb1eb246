/**
 * Takes a snapshot on a thread of its own: SQLite's copying blocks the thread that it runs on, and
 * the host of the library is a bot that trades. Both ends are in this file, so that whoever has
 * the one has the other: a package's cache, without a network, and an executable.
 *
 * @module
 */
import { SnapshotError } from "../base/errors.ts";
import { fromFailure, mayStart, serveThread, type ThreadFailure } from "../base/thread.ts";
import {
  runSnapshot,
  type SnapshotControl,
  type SnapshotJob,
  type SnapshotProgress,
} from "./take.ts";
import type { Manifest } from "./manifest.ts";

const THREAD = "catalyst-migrate snapshot";

/** What the thread is told. */
interface SnapshotRequest {
  readonly job: SnapshotJob;
  /** One number that becomes 1 when the work is to stop; a message would not be heard meanwhile. */
  readonly stop: SharedArrayBuffer;
}

/** What the thread says. */
type SnapshotAnswer =
  | { readonly kind: "progress"; readonly progress: SnapshotProgress }
  | { readonly kind: "done"; readonly manifest: Manifest };

/** Takes a snapshot on a thread of its own; on this one where a thread may not be started. */
export async function runSnapshotInThread(
  job: SnapshotJob,
  control: SnapshotControl & { readonly signal?: AbortSignal | undefined },
): Promise<Manifest> {
  const module = new URL(import.meta.url);
  if (!mayStart(module, "/lib/snapshot/thread.ts")) return await runSnapshot(job, control);
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
            // As on one thread: what the caller's function throws ends the work, and is the outcome.
            thrown ??= { error };
            abort();
          }
        } else if (thrown !== null) reject(thrown.error);
        else if (data.kind === "done") resolve(data.manifest);
        else reject(fromFailure(data, (...failure) => new SnapshotError(...failure)));
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

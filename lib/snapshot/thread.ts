import { SnapshotError } from "../errors.ts";
import { fromFailure, mayStart } from "../thread.ts";
import { runSnapshot, type SnapshotControl, type SnapshotJob } from "./create.ts";
import type { Manifest } from "./manifest.ts";
import type { WorkerRequest, WorkerResponse } from "./worker.ts";

/** Takes a snapshot on a thread of its own; on this one where a thread may not be started. */
export async function runSnapshotInThread(
  job: SnapshotJob,
  control: SnapshotControl & { readonly signal?: AbortSignal | undefined },
): Promise<Manifest> {
  const module = new URL("./worker.ts", import.meta.url);
  if (!mayStart(module)) return await runSnapshot(job, control);
  const stop = new SharedArrayBuffer(4);
  const abort = () => Atomics.store(new Int32Array(stop), 0, 1);
  if (control.signal?.aborted) abort();
  control.signal?.addEventListener("abort", abort);
  let thrown: { readonly error: unknown } | null = null;
  const worker = new Worker(module, { type: "module" });
  try {
    return await new Promise((resolve, reject) => {
      worker.onerror = (event) => {
        event.preventDefault();
        reject(new SnapshotError(`Cannot take a snapshot: ${event.message}`));
      };
      worker.onmessage = ({ data }: MessageEvent<WorkerResponse>) => {
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
      worker.postMessage({ job, stop } satisfies WorkerRequest);
    });
  } finally {
    control.signal?.removeEventListener("abort", abort);
    worker.terminate();
  }
}

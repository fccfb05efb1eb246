/**
 * Takes a snapshot on a thread of its own: SQLite's copying blocks the thread that it runs on, and
 * the host of the library is a bot that trades.
 *
 * @module
 */
import { type ThreadFailure, toFailure } from "../thread.ts";
import type { SnapshotProgress } from "./copy.ts";
import { runSnapshot, type SnapshotJob } from "./create.ts";
import type { Manifest } from "./manifest.ts";

/** What the worker is told. */
export interface WorkerRequest {
  readonly job: SnapshotJob;
  /** One number that becomes 1 when the work is to stop; a message would not be heard meanwhile. */
  readonly stop: SharedArrayBuffer;
}

/** What the worker says. */
export type WorkerResponse =
  | { readonly kind: "progress"; readonly progress: SnapshotProgress }
  | { readonly kind: "done"; readonly manifest: Manifest }
  | ({ readonly kind: "failed" } & ThreadFailure);

/** The part of a worker's global scope that is used here. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<WorkerRequest>) => void) | null;
  postMessage(message: WorkerResponse): void;
}

const scope = globalThis as unknown as WorkerScope;

scope.onmessage = async ({ data: { job, stop } }) => {
  const flag = new Int32Array(stop);
  const signal = {
    get aborted(): boolean {
      return Atomics.load(flag, 0) === 1;
    },
  };
  try {
    const onProgress = (progress: SnapshotProgress) =>
      scope.postMessage({ kind: "progress", progress });
    scope.postMessage({ kind: "done", manifest: await runSnapshot(job, { signal, onProgress }) });
  } catch (error) {
    scope.postMessage({ kind: "failed", ...toFailure(error) });
  }
};

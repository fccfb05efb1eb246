import {
  AccessError,
  type CatalystError,
  type CatalystErrorOptions,
  CorruptDatabaseError,
  DatabaseLockedError,
  DiskFullError,
  FormatError,
  InterruptedError,
  LocationError,
  MigratorLockedError,
  NotADatabaseError,
  SnapshotError,
  StatementError,
} from "../errors.ts";
import { runSnapshot, type SnapshotControl, type SnapshotJob } from "./create.ts";
import type { Manifest } from "./manifest.ts";
import type { WorkerRequest, WorkerResponse } from "./worker.ts";

/** Errors that a snapshot throws, by their code: a thread can hand over only their parts. */
const kinds: Readonly<
  Record<string, new (message: string, options: CatalystErrorOptions) => CatalystError>
> = {
  NOT_PERMITTED: AccessError,
  DATABASE_CORRUPT: CorruptDatabaseError,
  DATABASE_LOCKED: DatabaseLockedError,
  DISK_FULL: DiskFullError,
  STATEMENT_FAILED: StatementError,
  UNKNOWN_FORMAT: FormatError,
  INTERRUPTED: InterruptedError,
  INVALID_LOCATION: LocationError,
  MIGRATOR_LOCKED: MigratorLockedError,
  NOT_A_DATABASE: NotADatabaseError,
};

/** Takes a snapshot on a thread of its own; on this one where a thread may not be started. */
export async function runSnapshotInThread(
  job: SnapshotJob,
  control: SnapshotControl & { readonly signal?: AbortSignal | undefined },
): Promise<Manifest> {
  const module = new URL("./worker.ts", import.meta.url);
  if (!mayLoad(module)) return await runSnapshot(job, control);
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
        else reject(revive(data));
      };
      worker.postMessage({ job, stop } satisfies WorkerRequest);
    });
  } finally {
    control.signal?.removeEventListener("abort", abort);
    worker.terminate();
  }
}

function mayLoad(module: URL): boolean {
  if (module.protocol !== "file:") return true;
  return Deno.permissions.querySync({ name: "read", path: module }).state === "granted";
}

function revive({ code, message, help }: WorkerResponse & { kind: "failed" }): CatalystError {
  const Kind = kinds[code] ?? SnapshotError;
  return new Kind(message, help === undefined ? {} : { help });
}

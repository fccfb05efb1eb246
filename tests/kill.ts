/** Kills a command while it works: a given time after it has taken a lock. */
import assert from "node:assert/strict";
import { outputOf } from "./helpers.ts";

/** When to kill a process. */
export interface Killing {
  /** Path of the lock that it takes. */
  readonly lock: string;
  /** Milliseconds after it has taken the lock. */
  readonly delay: number;
}

/** Runs a command and kills it with SIGKILL; false if it had already ended. */
export async function killInside(
  command: Deno.Command,
  { lock, delay }: Killing,
): Promise<boolean> {
  const child = command.spawn();
  const output = outputOf(child);
  await lockTaken(lock, { pid: child.pid, ended: output });
  const deadline = performance.now() + delay;
  // A timer is too coarse for the last milliseconds.
  if (delay > 5) await new Promise((resolve) => setTimeout(resolve, delay - 5));
  while (performance.now() < deadline);
  try {
    child.kill("SIGKILL");
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // it had ended
  }
  const { stderr, ...status } = await output;
  const said = new TextDecoder().decode(stderr);
  const killed = wasKilled(status);
  assert.ok(status.success || (killed && !said.includes("error: ")), said);
  return killed;
}

/** Whether SIGKILL has ended a process. On Windows, without signals, its exit code is 1. */
export function wasKilled({ code, signal }: Deno.CommandStatus): boolean {
  return Deno.build.os === "windows" ? code === 1 : signal === "SIGKILL";
}

/** Milliseconds after which a process that has neither taken its lock nor ended counts as hanging. */
const PATIENCE = 60_000;

/** Resolves when a process has taken a lock, or has ended; rejects if neither happens in a minute. */
export async function lockTaken(
  lock: string,
  { pid, ended }: { readonly pid: number; readonly ended: Promise<unknown> },
): Promise<void> {
  let over = false;
  ended.then(() => over = true);
  const deadline = performance.now() + PATIENCE;
  while (!over && !isTaken(lock, pid)) {
    assert.ok(performance.now() < deadline, `process ${pid} neither took ${lock} nor ended`);
    await new Promise((resolve) => setTimeout(resolve));
  }
}

function isTaken(lock: string, pid: number): boolean {
  try {
    return Deno.readTextFileSync(lock) === `process ${pid}\n`;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    if (Deno.build.os !== "windows") throw error;
    return true; // Windows does not allow reading a locked file
  }
}

/** Kills a command inside its work: so long after it has taken a lock. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";

/** When to kill a process. */
export interface Killing {
  /** Path of the lock that it takes. */
  readonly lock: string;
  /** Milliseconds after it has taken the lock. */
  readonly delay: number;
}

/** Runs a command and kills it by SIGKILL; false where it had ended by then. */
export async function killInside(
  command: Deno.Command,
  { lock, delay }: Killing,
): Promise<boolean> {
  const child = command.spawn();
  const output = child.output();
  await lockTaken(lock, { pid: child.pid, ended: output });
  const deadline = performance.now() + delay;
  while (performance.now() < deadline);
  try {
    child.kill("SIGKILL");
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // it had ended
  }
  const { success, signal, stderr } = await output;
  assert.ok(success || signal === "SIGKILL", new TextDecoder().decode(stderr));
  return signal === "SIGKILL";
}

/** Resolves when a process has taken a lock, or has ended. */
export async function lockTaken(
  lock: string,
  { pid, ended }: { readonly pid: number; readonly ended: Promise<unknown> },
): Promise<void> {
  let over = false;
  ended.then(() => over = true);
  while (!over && !(existsSync(lock) && Deno.readTextFileSync(lock) === `process ${pid}\n`)) {
    await new Promise((resolve) => setTimeout(resolve));
  }
}

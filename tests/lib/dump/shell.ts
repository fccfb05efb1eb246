/** The real `sqlite3` shell, where there is one. */
import assert from "node:assert/strict";

/** Its version; null where it is not on the PATH. */
export const shellVersion: string | null = versionOf();

/** What a test's name says where it is skipped for want of the shell. */
export const withoutShell: string = shellVersion === null
  ? " (skipped: there is no sqlite3 on the PATH)"
  : "";

function versionOf(): string | null {
  try {
    const { success, stdout } = new Deno.Command("sqlite3", { args: ["--version"] }).outputSync();
    return success ? new TextDecoder().decode(stdout).split(" ", 1)[0] ?? null : null;
  } catch {
    return null;
  }
}

/** Runs the shell on a database file, with a stream as its input; its output. */
export async function runShell(
  path: string,
  input: ReadableStream<Uint8Array> | string,
): Promise<Uint8Array<ArrayBuffer>> {
  const child = new Deno.Command("sqlite3", {
    args: ["-batch", "-bail", "-init", "/dev/null", path],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const source = typeof input === "string" ? new Blob([input]).stream() : input;
  const [{ success, stdout, stderr }] = await Promise.all([
    child.output(),
    source.pipeTo(child.stdin).catch(() => {}), // it ended early, and says why
  ]);
  const said = new TextDecoder().decode(stderr);
  assert(success && said === "", said);
  return stdout;
}

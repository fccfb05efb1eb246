/** The real `sqlite3` shell, if there is one. */
import assert from "node:assert/strict";
import { outputOf } from "../../helpers.ts";

/** Its version; null if it is not on the PATH. */
export const shellVersion: string | null = versionOf();

/** Suffix for the name of a test that is skipped without the shell. */
export const withoutShell: string = shellVersion === null
  ? " (skipped: there is no sqlite3 on the PATH)"
  : "";

/** A shell for tests that are run with several. */
export interface Shell {
  readonly program: string;
  /** Its name in a test's name. */
  readonly label: string;
  /** Why it can't be used, for a test's name; empty if it can. */
  readonly reason: string;
}

/** The shell on the PATH, and a newer one, which `SQLITE3_NEW` names. */
export const shells: readonly Shell[] = [
  { program: "sqlite3", label: "sqlite3 shell", reason: withoutShell },
  {
    program: Deno.env.get("SQLITE3_NEW") ?? "",
    label: "newest sqlite3 shell",
    reason: Deno.env.has("SQLITE3_NEW") ? "" : " (skipped: SQLITE3_NEW names no newer sqlite3)",
  },
];

function versionOf(): string | null {
  try {
    const { success, stdout } = new Deno.Command("sqlite3", { args: ["--version"] }).outputSync();
    return success ? new TextDecoder().decode(stdout).split(" ", 1)[0] ?? null : null;
  } catch {
    return null;
  }
}

/** Runs the shell on a database file, with a stream as its input; returns its output. */
export async function runShell(
  path: string,
  input: ReadableStream<Uint8Array> | string,
  program = "sqlite3",
): Promise<Uint8Array<ArrayBuffer>> {
  const child = new Deno.Command(program, {
    args: ["-batch", "-bail", "-init", "/dev/null", path],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const source = typeof input === "string" ? new Blob([input]).stream() : input;
  const [{ success, stdout, stderr }] = await Promise.all([
    outputOf(child),
    source.pipeTo(child.stdin).catch(() => {}), // it ended early, and reports why
  ]);
  const said = new TextDecoder().decode(stderr);
  assert(success && said === "", said);
  return stdout;
}

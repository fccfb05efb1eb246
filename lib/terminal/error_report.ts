import { CatalystError } from "../errors.ts";
import { isOlder, oldestDeno } from "../version.ts";

/** An error as a user gets it, in words or as JSON. */
export interface ErrorReport {
  /** Stable name of the condition; `INTERNAL` where the toolkit didn't foresee it. */
  readonly code: string;
  /** What is the case. */
  readonly message: string;
  /** What to do next, in one line or more; `null` where nothing is known. */
  readonly help: string | null;
}

const REPORT_IT =
  "this is a fault in catalyst-migrate: run the command again with --verbose and report what it prints";

/** Reads what was thrown, whatever it is; what `deno` lacks, an older version of it, is no fault. */
export function reportOf(error: unknown, deno: string = Deno.version.deno): ErrorReport {
  if (error instanceof CatalystError) {
    return { code: error.code, message: error.message, help: error.help ?? null };
  }
  const message = error instanceof Error ? error.message || error.name : String(error);
  const help = isOlder(deno, oldestDeno)
    ? `Deno ${deno} is too old: update it to ${oldestDeno} or newer, by \`deno upgrade\``
    : REPORT_IT;
  return { code: "INTERNAL", message, help };
}

/** Stack trace of an error and, below it, of the errors that caused it; empty where there is none. */
export function traceOf(error: unknown): string {
  const traces: string[] = [];
  const seen = new Set<unknown>();
  for (let at = error; at instanceof Error && !seen.has(at); at = at.cause) {
    seen.add(at);
    traces.push(at.stack ?? `${at.name}: ${at.message}`);
  }
  return traces.join("\ncaused by: ");
}

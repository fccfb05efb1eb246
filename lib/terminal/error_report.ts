import { isTooManyFiles, tooManyFiles } from "../base/files.ts";
import { type SerializedError, serializeError } from "../base/serialized_error.ts";
import { isOlder, oldestDeno } from "../base/version.ts";

const REPORT_IT =
  "this is a fault in catalyst-migrate: run the command again with --verbose and report what it prints";

/** What was thrown, with a next step where the toolkit didn't foresee it; an old `deno` is no fault. */
export function reportOf(error: unknown, deno: string = Deno.version.deno): SerializedError {
  const failure = serializeError(error);
  if (failure.code !== "INTERNAL") return failure;
  if (isTooManyFiles(error)) return serializeError(tooManyFiles("Cannot run the command", error));
  const help = isOlder(deno, oldestDeno)
    ? `Deno ${deno} is too old: update it to ${oldestDeno} or newer, by \`deno upgrade\``
    : REPORT_IT;
  return { ...failure, help };
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

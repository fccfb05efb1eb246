/**
 * What the exit codes mean, and which one an error becomes.
 *
 * @module
 */
import { CatalystError, InterruptedError } from "../base/errors.ts";
import { INTERRUPTED } from "../base/event_loop.ts";

const meanings = {
  0: "success, or nothing to do",
  1: "failure, or a check found a problem",
  2: "usage error",
  [INTERRUPTED]: "interrupted by Ctrl-C or SIGTERM",
};

/** Exit codes and their meanings, as help lists them. */
export const exitCodes: readonly (readonly [code: string, says: string])[] = Object.entries(
  meanings,
);

/** Errors that are the caller's mistake. */
const USAGE_CODES: readonly string[] = ["USAGE", "UNKNOWN_MIGRATION", "INVALID_CONFIGURATION"];

/** Exit code of a command that failed with an error. */
export function exitCodeOf(error: unknown): keyof typeof meanings {
  if (error instanceof InterruptedError) return INTERRUPTED;
  return error instanceof CatalystError && USAGE_CODES.includes(error.code) ? 2 : 1;
}

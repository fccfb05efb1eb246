import { CatalystError } from "./base/errors.ts";

/** What of an error a user, a JSON document or another thread gets. */
export interface Failure {
  /** Stable name of the condition; `INTERNAL` where the toolkit didn't foresee it. */
  readonly code: string;
  /** What is the case. */
  readonly message: string;
  /** What to do next, in one line or more; `null` where nothing is known. */
  readonly help: string | null;
}

/** Reads what was thrown, whatever it is. */
export function failureOf(error: unknown): Failure {
  if (error instanceof CatalystError) {
    return { code: error.code, message: error.message, help: error.help ?? null };
  }
  const message = error instanceof Error ? error.message || error.name : String(error);
  return { code: "INTERNAL", message, help: null };
}

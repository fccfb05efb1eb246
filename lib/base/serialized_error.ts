import { CatalystError } from "./errors.ts";

/** What of an error a user, a JSON document or another thread gets. */
export interface SerializedError {
  /** Stable name of the condition; `INTERNAL` where the toolkit didn't foresee it. */
  readonly code: string;
  /** What is the case. */
  readonly message: string;
  /** What the message leaves out, one line each; absent where it says everything. */
  readonly details?: readonly string[];
  /** What to do next, in one line or more; `null` where nothing is known. */
  readonly help: string | null;
}

/** What failed first, where closing something then failed as well. */
export function originalError(error: unknown): unknown {
  return error instanceof SuppressedError ? originalError(error.suppressed) : error;
}

/** Serializes what was thrown, whatever it is. */
export function serializeError(thrown: unknown): SerializedError {
  const error = originalError(thrown);
  if (error instanceof CatalystError) {
    const { code, message, details, help = null } = error;
    return details.length === 0 ? { code, message, help } : { code, message, details, help };
  }
  const message = error instanceof Error ? error.message || error.name : String(error);
  return { code: "INTERNAL", message, help: null };
}

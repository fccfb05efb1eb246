import { CatalystError } from "./errors.ts";

/** An error as shown to a user, written to JSON or passed to another thread. */
export interface SerializedError {
  /** Stable name of the condition; `INTERNAL` for an unexpected error. */
  readonly code: string;
  /** What went wrong. */
  readonly message: string;
  /** What the message leaves out, one line each; absent if there is nothing more. */
  readonly details?: readonly string[];
  /** What to do next, in one or more lines; `null` if unknown. */
  readonly help: string | null;
}

/** The first error, if closing a resource failed after it. */
export function originalError(error: unknown): unknown {
  return error instanceof SuppressedError ? originalError(error.suppressed) : error;
}

/** Serializes anything that was thrown. */
export function serializeError(thrown: unknown): SerializedError {
  const error = originalError(thrown);
  if (error instanceof CatalystError) {
    const { code, message, details, help = null } = error;
    return details.length === 0 ? { code, message, help } : { code, message, details, help };
  }
  const message = error instanceof Error ? error.message || error.name : String(error);
  return { code: "INTERNAL", message, help: null };
}

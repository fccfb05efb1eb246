import { UnrecordedError } from "../base/errors.ts";
import { messageOf } from "../base/format.ts";

/** What has been committed, for who must not do it again. */
export interface Committed {
  /** Such as `Imported 3 rows into trading`. */
  readonly done: string;
  /** What to do, and what not to do. */
  readonly help: string;
}

/**
 * Does what follows a commit, such as recording it in the ledger.
 *
 * @throws {UnrecordedError} saying what is done, whatever fails.
 */
export async function afterCommit<T>(
  { done, help }: Committed,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new UnrecordedError(`${done}, but could not record it: ${messageOf(error)}`, {
      cause: error,
      help,
    });
  }
}

import { ConfirmationError, DumpError, InterruptedError } from "../base/errors.ts";
import {
  type Connection,
  type CopyProgress,
  defaultSettings,
  number,
} from "../database/connection.ts";
import { LibsqlConnection } from "../database/libsql.ts";
import { push } from "../database/libsql_push.ts";
import { temporaryCopy } from "../database/temporary_copy.ts";
import { holdForeignKeys, withTransaction } from "../database/transaction.ts";
import type { Steps } from "../base/steps.ts";
import { contentHash } from "./hash.ts";

/** Options for filling a database on a server. */
interface FillOptions {
  /** Seconds to wait for other writers. */
  readonly timeout: number;
  /** Called with the number of rows written, and the total. */
  readonly onProgress?: ((progress: CopyProgress) => void) | undefined;
  /** Called with the steps, whose weights add up to 21. Default: none. */
  readonly steps?: Steps;
  /** Stops it and leaves everything unchanged. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes a database file into an empty database on a server, all-or-nothing. The result is read
 * back and compared before the commit. The file must not be written meanwhile.
 *
 * @returns the hash of the content, which is equal in both.
 * @throws {ConfirmationError} if the database on the server is not empty.
 */
export async function fillServer(
  path: string,
  target: Connection,
  options: FillOptions,
): Promise<string> {
  const { signal, steps, onProgress } = options;
  const cannot = `Cannot write into ${target.label}`;
  if (!(target instanceof LibsqlConnection)) {
    throw new DumpError(`${cannot}: it is not on a server`);
  }
  const hashOf = async (file: string) => {
    steps?.begin("comparing the copy with the original", 4);
    const onShare = (share: number) => steps?.advance(share);
    return await contentHash({ kind: "file", path: file }, defaultSettings, onShare);
  };
  const hash = await hashOf(path);
  const report = (progress: CopyProgress) => {
    if (signal?.aborted) {
      throw new InterruptedError(`${cannot}: interrupted`, { help: "nothing was changed" });
    }
    onProgress?.(progress);
  };
  // Rows may precede those that they reference.
  const foreignKeys = await holdForeignKeys(target, false);
  try {
    await withTransaction(target, async () => {
      await refuseContent(target, cannot);
      steps?.begin(`writing ${target.label}`, 8);
      await push(path, target, { onProgress: report });
      steps?.begin("reading the copy", 5);
      await using copy = await temporaryCopy(target);
      const written = await hashOf(copy.path);
      if (written === hash) return;
      throw new DumpError(`${cannot}: the copy differs from the original`, {
        help: "nothing was changed; please report this as a bug",
      });
    }, options);
  } finally {
    // After a lost connection there is nothing to restore.
    await foreignKeys.restore().catch(() => {});
  }
  return hash;
}

async function refuseContent(target: Connection, cannot: string): Promise<void> {
  const row = await target.get("SELECT count(*) AS objects FROM sqlite_schema");
  if (row === undefined || number(row, "objects") === 0) return;
  throw new ConfirmationError(`${cannot}: it is not empty`, {
    help: "name an empty namespace; nothing was changed",
  });
}

import { statPath } from "./database/location.ts";
import { AccessError, LocationError } from "./errors.ts";
import { shellWord } from "./database/failure.ts";

/**
 * Makes sure that the directory of a file is there.
 *
 * @throws {LocationError} where it isn't and may not be created, or is a file.
 */
export function ensureDirectory(path: string, mayCreate: boolean): void {
  const directory = directoryOf(path);
  const stat = statPath(directory);
  if (stat?.isDirectory) return;
  if (stat !== null) {
    throw new LocationError(`Cannot use ${directory} as data directory: it is a file`, {
      help: "name another directory with --data-dir, or move the file away",
    });
  }
  if (!mayCreate) {
    throw new LocationError(`Cannot use ${directory} as data directory: it does not exist`, {
      help: `create it first: mkdir -p ${shellWord(directory)}`,
    });
  }
  try {
    Deno.mkdirSync(directory);
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return;
    if (error instanceof Deno.errors.NotFound) {
      throw new LocationError(`Cannot create ${directory}: the directory above it does not exist`, {
        cause: error,
        help: `create it first: mkdir -p ${shellWord(directory)}`,
      });
    }
    throw new AccessError(`Cannot create ${directory}: ${reason(error)}`, {
      cause: error,
      help: "check that this user may write there, or name another directory with --data-dir",
    });
  }
}

/** The directory part of a path, by either separator; `.` where it has none. */
export function directoryOf(path: string): string {
  const end = Math.max(
    path.lastIndexOf("/"),
    Deno.build.os === "windows" ? path.lastIndexOf("\\") : -1,
  );
  return end === -1 ? "." : end === 0 ? "/" : path.slice(0, end);
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Refuses a prefix of file names whose directory isn't there.
 *
 * @throws {LocationError} naming the directory and the variable that holds the prefix.
 */
export function refuseMissingDirectory(prefix: string, variable: string): void {
  const directory = directoryOf(prefix);
  try {
    Deno.statSync(directory);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) return; // said in full where it is used
    throw new LocationError(
      `Cannot use ${variable}=${JSON.stringify(prefix)}: directory ${directory} does not exist`,
      {
        cause: error,
        help: `create it (mkdir -p ${shellWord(directory)}), or correct ${variable}`,
      },
    );
  }
}

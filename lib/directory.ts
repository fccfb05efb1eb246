import {
  brokenLinkHelp,
  databasesDirectory,
  denied,
  statPath,
  whereAFileIs,
} from "./database/location.ts";
import { AccessError, LocationError } from "./base/errors.ts";
import { shellWord } from "./database/failure.ts";

/**
 * Makes sure that the directory of a file is there.
 *
 * @throws {LocationError} where it isn't and may not be created, or is a file.
 */
export function ensureDirectory(
  path: string,
  mayCreate: boolean,
  use = databasesDirectory,
): void {
  const directory = directoryOf(path);
  const stat = statPath(directory, use);
  if (stat?.isDirectory) return;
  if (stat !== null) {
    throw new LocationError(`Cannot use ${directory} as ${use.what}: it is a file`, {
      help: whereAFileIs(use),
    });
  }
  if (!mayCreate) {
    throw new LocationError(`Cannot use ${directory} as ${use.what}: it does not exist`, {
      help: `create it first: mkdir -p ${shellWord(directory)}`,
    });
  }
  try {
    Deno.mkdirSync(directory);
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) {
      if (statPath(directory, use) !== null) return; // somebody else was quicker
      throw new LocationError(
        `Cannot use ${directory} as ${use.what}: it is a link to a place that is not there`,
        { cause: error, help: brokenLinkHelp },
      );
    }
    if (error instanceof Deno.errors.NotFound) {
      throw new LocationError(`Cannot create ${directory}: the directory above it does not exist`, {
        cause: error,
        help: `create it first: mkdir -p ${shellWord(directory)}`,
      });
    }
    const message = error instanceof Error ? error.message : String(error);
    const check = `check that this user may write there${
      use.flag === null ? "" : `, or name another directory with ${use.flag}`
    }`;
    const { reason, help } = error instanceof Deno.errors.NotCapable
      ? denied(message, `give it read and write permission on the ${use.what}`)
      : { reason: message, help: check };
    throw new AccessError(`Cannot create ${directory}: ${reason}`, { cause: error, help });
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

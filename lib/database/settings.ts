import { UsageError } from "../base/errors.ts";

/** Settings of a connection to a bot's database; each is an SQLite pragma. */
export interface ConnectionSettings {
  /** `journal_mode`; `WAL` lets readers and one writer work at the same time. */
  readonly journalMode: "WAL" | "DELETE" | "TRUNCATE" | "PERSIST";
  /** `synchronous`; how often SQLite syncs to disk. */
  readonly synchronous: "NORMAL" | "FULL" | "EXTRA" | "OFF";
  /** `cache_size` in pages, or in KiB if negative. */
  readonly cacheSize: number;
  /** `mmap_size` in bytes; Deno's build of SQLite caps it at about 2 GB. */
  readonly mmapSize: number;
  /** `wal_autocheckpoint` in pages. */
  readonly walAutocheckpoint: number;
  /** `busy_timeout` in seconds: how long a statement waits for another connection's lock. */
  readonly busyTimeout: number;
}

/** The default settings: WAL, NORMAL, 10000 pages, a busy timeout of 30 s. */
export const defaultSettings: ConnectionSettings = {
  journalMode: "WAL",
  synchronous: "NORMAL",
  cacheSize: 10_000,
  mmapSize: 30_000_000_000,
  walAutocheckpoint: 500,
  busyTimeout: 30,
};

/** The default settings with another busy timeout, in seconds. */
export function withTimeout(seconds: number): ConnectionSettings {
  return { ...defaultSettings, busyTimeout: seconds };
}

/** Environment variables that override the settings. */
export const settingVariables = [
  "SQLITE_WAL_MODE",
  "SQLITE_SYNCHRONOUS",
  "SQLITE_CACHE_SIZE",
  "SQLITE_MMAP_SIZE",
] as const;

/** Name of an environment variable that overrides a setting. */
export type SettingVariable = (typeof settingVariables)[number];

/** SQLite treats a larger value as 0. */
const LARGEST_CACHE = 2 ** 31 - 1;

const JOURNAL_MODES = ["WAL", "DELETE", "TRUNCATE", "PERSIST"] as const;
const SYNCHRONOUS = ["NORMAL", "FULL", "EXTRA", "OFF"] as const;

/**
 * Returns the default settings, overridden by environment variables. `variable` returns a variable's
 * value; an unset or empty one changes nothing. `Deno.env.get` needs permission to read the variables.
 *
 * @throws {UsageError} if a variable's value is invalid.
 *
 * @example Open a database with the settings of the environment
 * ```ts
 * import { openDatabase, settingsFrom, settingsInForce } from "@catalyst/migrate/database";
 *
 * const settings = settingsFrom((name) => name === "SQLITE_CACHE_SIZE" ? "500" : undefined);
 * using db = openDatabase(`${await Deno.makeTempDir()}/trading.db`, { settings });
 * console.assert(settingsInForce(db).cacheSize === 500); // or settingsFrom((name) => Deno.env.get(name))
 * ```
 */
export function settingsFrom(
  variable: (name: SettingVariable) => string | undefined,
): ConnectionSettings {
  const journal = variable("SQLITE_WAL_MODE");
  const synchronous = variable("SQLITE_SYNCHRONOUS");
  return {
    ...defaultSettings,
    ...(journal ? { journalMode: journalMode(journal) } : {}),
    ...(synchronous ? { synchronous: choice("SQLITE_SYNCHRONOUS", synchronous, SYNCHRONOUS) } : {}),
    ...integer("SQLITE_CACHE_SIZE", "cacheSize", variable),
    ...integer("SQLITE_MMAP_SIZE", "mmapSize", variable),
  };
}

/** Without these, macOS reports bytes as written before they are on disk, and may reorder writes. */
const FULL_SYNC = Deno.build.os === "darwin"
  ? "PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON;"
  : "";

/** The pragmas of a connection, without `journal_mode`, which belongs to the file. */
export function connectionPragmas(settings: ConnectionSettings): string {
  return `PRAGMA busy_timeout = ${Math.round(settings.busyTimeout * 1000)};
    PRAGMA foreign_keys = ON;
    PRAGMA synchronous = ${settings.synchronous};
    PRAGMA cache_size = ${settings.cacheSize};
    PRAGMA mmap_size = ${settings.mmapSize};
    PRAGMA temp_store = MEMORY;
    PRAGMA wal_autocheckpoint = ${settings.walAutocheckpoint};
    ${FULL_SYNC}`;
}

/** `SQLITE_WAL_MODE` names a journal mode; on means WAL and off means DELETE. */
function journalMode(value: string): ConnectionSettings["journalMode"] {
  const upper = value.toUpperCase();
  if (["ON", "TRUE", "1", "YES"].includes(upper)) return "WAL";
  if (["OFF", "FALSE", "0", "NO"].includes(upper)) return "DELETE";
  return choice("SQLITE_WAL_MODE", value, JOURNAL_MODES);
}

function choice<T extends string>(name: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((one) => one === value.toUpperCase());
  if (found === undefined) {
    throw new UsageError(
      `Cannot use ${name}=${JSON.stringify(value)}: expected one of ${allowed.join(", ")}`,
      {
        help: `set ${name} to one of them, or unset it for ${allowed[0]}`,
      },
    );
  }
  return found;
}

function integer(
  name: "SQLITE_CACHE_SIZE" | "SQLITE_MMAP_SIZE",
  key: "cacheSize" | "mmapSize",
  variable: (name: SettingVariable) => string | undefined,
): Partial<ConnectionSettings> {
  const value = variable(name);
  if (!value) return {};
  const help = `set ${name} to a number, or unset it for ${defaultSettings[key]}`;
  if (!/^-?\d{1,15}$/.test(value)) {
    throw new UsageError(`Cannot use ${name}=${JSON.stringify(value)}: it is not a whole number`, {
      help,
    });
  }
  if (key === "cacheSize" && Math.abs(Number(value)) > LARGEST_CACHE) {
    const limit = Number(value) < 0 ? `less than -${LARGEST_CACHE}` : `more than ${LARGEST_CACHE}`;
    throw new UsageError(`Cannot use ${name}=${value}: it is ${limit}`, { help });
  }
  return { [key]: Number(value) };
}

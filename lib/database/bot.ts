import { DatabaseSync } from "node:sqlite";
import { translate } from "./failure.ts";
import { connectionPragmas, type ConnectionSettings, defaultSettings } from "./settings.ts";

/** How to open a bot's database. */
export interface OpenDatabaseOptions {
  /** Settings over the defaults. Default: none. */
  readonly settings?: Partial<ConnectionSettings>;
}

/** Settings as SQLite has them, read back: it may refuse or cap what was asked for. */
export interface SettingsInForce {
  /** Journal mode, such as `wal`; `memory` for a database in memory. */
  readonly journalMode: string;
  /** 0 OFF, 1 NORMAL, 2 FULL, 3 EXTRA. */
  readonly synchronous: number;
  /** Pages; a negative number is a size in KiB. */
  readonly cacheSize: number;
  /** Bytes; 0 where memory mapping is off. */
  readonly mmapSize: number;
  /** Pages. */
  readonly walAutocheckpoint: number;
  /** Seconds. */
  readonly busyTimeout: number;
  /** Whether foreign keys are enforced. */
  readonly foreignKeys: boolean;
}

/**
 * Opens a bot's database with the right connection settings, creating the file where there is none.
 * `path` may be `:memory:`. Needs read and write permission on the file and its directory. The caller
 * closes it, or `using` does.
 *
 * @throws {NotADatabaseError | CorruptDatabaseError} where the file is no database, or damaged.
 * @throws {DatabaseLockedError} where another connection's lock was not gone within the busy timeout.
 * @throws {AccessError} where the file can't be opened: no permission, no such directory.
 * @throws {DiskFullError} where there is no room for it.
 *
 * @example Open a bot's database
 * ```ts
 * import { openDatabase, settingsInForce } from "@catalyst/migrate";
 *
 * using db = openDatabase(`${await Deno.makeTempDir()}/trading.db`);
 * console.assert(settingsInForce(db).journalMode === "wal");
 * ```
 */
export function openDatabase(path: string, options: OpenDatabaseOptions = {}): DatabaseSync {
  const settings = { ...defaultSettings, ...options.settings };
  try {
    const db = new DatabaseSync(path);
    try {
      db.exec(`${connectionPragmas(settings)} PRAGMA journal_mode = ${settings.journalMode}`);
      return db;
    } catch (error) {
      db.close();
      throw error;
    }
  } catch (error) {
    throw translate(error, { verb: "open", label: path });
  }
}

/**
 * Reads the settings of an open database back.
 *
 * @example See what SQLite made of a setting
 * ```ts
 * import { openDatabase, settingsInForce } from "@catalyst/migrate";
 *
 * using db = openDatabase(":memory:");
 * const { journalMode, busyTimeout, foreignKeys } = settingsInForce(db);
 * console.assert(journalMode === "memory" && busyTimeout === 30 && foreignKeys);
 * ```
 */
export function settingsInForce(db: DatabaseSync): SettingsInForce {
  const pragma = (name: string) => Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0];
  return {
    journalMode: String(pragma("journal_mode")),
    synchronous: Number(pragma("synchronous")),
    cacheSize: Number(pragma("cache_size")),
    mmapSize: Number(pragma("mmap_size") ?? 0),
    walAutocheckpoint: Number(pragma("wal_autocheckpoint")),
    busyTimeout: Number(pragma("busy_timeout")) / 1000,
    foreignKeys: pragma("foreign_keys") === 1,
  };
}

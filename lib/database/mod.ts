/**
 * Opens a bot's database with the recommended connection settings: WAL, foreign keys on, and a busy
 * timeout of 30 s. Needs read and write permission on the file and its directory.
 *
 * @example Open a bot's database
 * ```ts
 * import { openDatabase } from "@catalyst/migrate/database";
 *
 * using db = openDatabase(`${await Deno.makeTempDir()}/trading.db`);
 * db.exec("CREATE TABLE notes (body TEXT NOT NULL)");
 * console.assert(db.prepare("SELECT count(*) AS rows FROM notes").get()?.rows === 0);
 * ```
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import { connectionPragmas, type ConnectionSettings, defaultSettings } from "./connection.ts";
import { translate } from "./failure.ts";

export {
  AccessError,
  CatalystError,
  type CatalystErrorOptions,
  CorruptDatabaseError,
  DatabaseLockedError,
  DiskFullError,
  type LostRows,
  NotADatabaseError,
  type Progress,
  StatementError,
  UsageError,
} from "../base/errors.ts";
export {
  type ConnectionSettings,
  defaultSettings,
  settingsFrom,
  type SettingVariable,
  settingVariables,
} from "./connection.ts";

/** How to open a bot's database. */
export interface OpenDatabaseOptions {
  /** Settings that override the defaults. Default: none. */
  readonly settings?: Partial<ConnectionSettings>;
}

/** Settings read back from SQLite, which may refuse or cap the requested ones. */
export interface SettingsInForce {
  /** Journal mode, such as `wal`; `memory` for a database in memory. */
  readonly journalMode: string;
  /** 0 OFF, 1 NORMAL, 2 FULL, 3 EXTRA. */
  readonly synchronous: number;
  /** Pages, or KiB if negative. */
  readonly cacheSize: number;
  /** Bytes; 0 if memory mapping is off. */
  readonly mmapSize: number;
  /** Pages. */
  readonly walAutocheckpoint: number;
  /** Seconds. */
  readonly busyTimeout: number;
  /** Whether foreign keys are enforced. */
  readonly foreignKeys: boolean;
}

/**
 * Opens a bot's database with the recommended connection settings, and creates the file if it does not
 * exist. `path` may be `:memory:`. Needs read and write permission on the file and its directory. The
 * caller must close the database, or use `using`.
 *
 * @throws {NotADatabaseError | CorruptDatabaseError} if the file is not a database, or is damaged.
 * @throws {DatabaseLockedError} if another connection held a lock for longer than the busy timeout.
 * @throws {AccessError} if the file cannot be opened, such as for lack of permission or a missing directory.
 * @throws {DiskFullError} if the disk is full.
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
 * Reads the settings of an open database.
 *
 * @example Read a setting back
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

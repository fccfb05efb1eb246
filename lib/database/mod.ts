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
  openDatabase,
  type OpenDatabaseOptions,
  type SettingsInForce,
  settingsInForce,
} from "./bot.ts";
export {
  type ConnectionSettings,
  defaultSettings,
  settingsFrom,
  type SettingVariable,
  settingVariables,
} from "./connection.ts";

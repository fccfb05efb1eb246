import { LEDGER } from "../state/workspace.ts";
import type { Holder } from "../base/lock.ts";
import type { SerializedError } from "../base/errors.ts";
import type { SettingsInForce } from "../database/bot.ts";
import type { FileHeader, LogIndex, UntouchedMode } from "../database/untouched.ts";
import type { ConnectionSettings } from "../database/connection.ts";
import type { Migration } from "../migration/migration.ts";
import type { SnapshotEntry } from "../snapshot/store.ts";
import type { LedgerEvent } from "../state/ledger.ts";
import type { Marker } from "../state/marker.ts";
import type { Status } from "../state/status.ts";
import type { Mount, Openers } from "./linux.ts";

/** Parts of the answer, in the order in which they are told. */
export const groups = [
  "versions",
  "permissions",
  "paths",
  "settings",
  "databases",
  "processes",
  "migrations",
  "leftovers",
  "disk",
  "clock",
] as const;

/** Something that was looked at, and what is the case. */
export interface Check {
  /** Part of the answer that it belongs to. */
  readonly group: (typeof groups)[number];
  /** `problem`: something has to be done; `notice`: to be known; `ok`: as it should be. */
  readonly level: "ok" | "notice" | "problem";
  /** Stable name of the condition. */
  readonly code: string;
  /** Name of the database that it is about; null where it is about all. */
  readonly database: string | null;
  /** What is the case. */
  readonly detail: string;
  /** What to do; null where nothing has to be done. */
  readonly help: string | null;
}

/** Makes checks of one group, about one database or all. */
export function checksOf(
  group: Check["group"],
  database: string | null = null,
): Record<Check["level"], (code: string, detail: string, help?: string | null) => Check> {
  const make = (level: Check["level"]) => (code: string, detail: string, help?: string | null) => ({
    group,
    level,
    code,
    database,
    detail: database === null ? detail : `${subject(database)}: ${detail}`,
    help: help ?? null,
  });
  return { ok: make("ok"), notice: make("notice"), problem: make("problem") };
}

/** Processes as a phrase, such as `process 4242 (deno run bot.ts)`. */
export function processes(holders: readonly Holder[]): string {
  return holders.map(({ pid, command }) => `process ${pid}${command === "" ? "" : ` (${command})`}`)
    .join(", ");
}

/** Whose a file is, as an addition to a sentence; empty where the system doesn't say. */
export function ownerIn({ uid, gid, mode }: Deno.FileInfo): string {
  return uid === null || mode === null
    ? ""
    : `; it is of user ${uid} and group ${gid}, with mode ${(mode & 0o7777).toString(8)}`;
}

/** The program and what it may do. */
export interface SystemFacts {
  readonly deno: string;
  readonly isStandalone: boolean;
  /** Such as `linux x86_64`. */
  readonly platform: string;
  readonly sqlite: string;
  /** SQLite's compile options, such as `THREADSAFE=1`. */
  readonly sqliteOptions: readonly string[];
  /** Whether Deno has all permissions. */
  readonly isAllPermitted: boolean;
  /** Names of the permissions that the toolkit doesn't need and has. */
  readonly spare: readonly string[];
}

/** The directory that the databases are in. */
export interface DirectoryFacts {
  readonly path: string;
  readonly state: "directory" | "missing" | "file" | "unreachable";
  /** Why it can't be reached. */
  readonly reason: string | null;
  readonly realPath: string | null;
  /** Whether it or the directory above is there; null where that can't be told. */
  readonly hasParent: boolean | null;
  readonly mayRead: boolean;
  readonly mayWrite: boolean;
  /** Whether this user may create files in it; null where that can't be told. */
  readonly isWritable: boolean | null;
  readonly info: Deno.FileInfo | null;
  /** The file system that it is on, or would be; null where that can't be told. */
  readonly mount: Mount | null;
  /** Free bytes on its disk; null where that can't be told. */
  readonly room: number | null;
}

/** Everything that was found, as plain data. */
export interface Facts {
  readonly request: DoctorRequest;
  /** Unix epoch seconds. */
  readonly now: number;
  readonly workingDirectory: string | null;
  readonly system: SystemFacts;
  readonly directory: DirectoryFacts;
  /** The databases, the ledger last. */
  readonly databases: readonly LookedDatabase[];
  /** Null where the system doesn't tell. */
  readonly openers: Openers | null;
  /** By the name of the database, who keeps others from writing to it, and not for a moment only. */
  readonly blockers: ReadonlyMap<string, readonly Holder[]>;
  readonly state: StateFacts;
  readonly own: OwnFacts;
  readonly locks: readonly LockFacts[];
  /** Whether a migrator was at work before or after the databases were looked at. */
  readonly isMigrating: boolean;
  readonly leftovers: readonly Leftover[];
  /** Paths of the SQLite files in the data directory that have no name. */
  readonly uncovered: readonly string[];
  readonly backups: string;
  readonly backupsDirectory: DirectoryFacts;
  readonly snapshots: readonly SnapshotEntry[];
}

/** What to look at. */
export interface DoctorRequest {
  /** Put before each file name. */
  readonly prefix: string;
  /** Where the prefix comes from. */
  readonly prefixFrom: "flag" | "variable" | "default";
  /** What `DB_PATH_PREFIX` holds, whether it is used or not. */
  readonly variable: string | undefined;
  /** Settings as they are asked for, without those that are wrong. */
  readonly settings: ConnectionSettings;
  /** What is wrong with variables. */
  readonly wrongVariables: readonly SerializedError[];
  /** Variables that Deno may not read. */
  readonly hiddenVariables: readonly string[];
  /** Directory of the user's own migrations; null where there is none. */
  readonly migrationsDir: string | null;
  /** The files of the databases by name. */
  readonly databases: Readonly<Record<string, string>>;
  /** Where the ledger is: a path, or an address. */
  readonly ledger: string;
  /** Directory of the snapshots; undefined where the prefix decides. */
  readonly backupDir: string | undefined;
  /** Whether there is a configuration file. */
  readonly hasConfiguration: boolean;
  /** The migrations that come with the toolkit. */
  readonly bundled: readonly Migration[];
}

/** What the databases and migrations say together. */
export interface StateFacts {
  /** Null where it can't be told. */
  readonly status: Status | null;
  readonly failures: readonly (SerializedError & { readonly database: string | null })[];
  readonly markers: ReadonlyMap<string, readonly Marker[]>;
  /** The newest first. */
  readonly events: readonly LedgerEvent[];
  /** Whether the ledger was read, or there is none; else the status knows nothing of it. */
  readonly isLedgerRead: boolean;
}

/** The user's own migrations. */
export interface OwnFacts {
  readonly directory: string | null;
  readonly migrations: readonly Migration[];
  readonly failures: readonly SerializedError[];
  /** Names of the files that can't be used. */
  readonly unusable: readonly string[];
  /** Which files look like migrations and are none, in words; null where none does. */
  readonly misnamed: string | null;
}

/** What was found of one database, inside and outside. */
export type LookedDatabase = DatabaseFacts & {
  readonly content: Content;
  /** Whether somebody wrote to it meanwhile, so that it may have been seen half. */
  readonly isChanging: boolean;
};

/** What a file that lies beside the databases may be. */
export type LeftoverKind =
  /** Commits of a database that isn't there. */
  | "log-without-database"
  /** The index of the log of a database that isn't there. */
  | "index-without-database"
  /** The note of a restore that was begun. */
  | "restore-note"
  /** The note of a restore that was not decided. */
  | "restore-part"
  /** What an import or a restore was building. */
  | "database-part"
  /** A damaged database that a restore moved aside. */
  | "moved-aside"
  /** What an export was writing. */
  | "export-part"
  /** The copies of a rehearsal. */
  | "rehearsal"
  /** The note of a snapshot that was not finished. */
  | "snapshot-unfinished"
  /** A file of a snapshot that was not finished. */
  | "snapshot-part"
  /** A file of a snapshot that was unpacked for a look. */
  | "snapshot-unpacked"
  /** A database file with a snapshot's name, and no snapshot that it belongs to. */
  | "snapshot-stray";

/** A file or directory that a program has left. */
export interface Leftover {
  readonly kind: LeftoverKind;
  readonly path: string;
}

/** A file that a migrator has locked, or had. */
export interface LockFacts {
  readonly path: string;
  /** Null where that can't be told. */
  readonly isHeld: boolean | null;
  /** What the file says of its last holder. */
  readonly holder: string;
  readonly info: Deno.FileInfo | null;
  /** Why it can't be taken; null where it can, or that isn't known. */
  readonly unwritable: string | null;
}

/** What is at a database's path. */
export type DatabasePlace =
  | { readonly kind: "file"; readonly realPath: string; readonly info: Deno.FileInfo }
  | { readonly kind: "missing" }
  /** It is on a server, and has no files here. */
  | { readonly kind: "server" }
  | { readonly kind: "directory" }
  /** A link to a place where nothing is. */
  | { readonly kind: "broken-link" }
  | { readonly kind: "unreachable"; readonly reason: string; readonly isPermission: boolean };

/** What was found of one database's files. */
export interface DatabaseFacts {
  /** Its name; the ledger is called `migrations`. */
  readonly name: string;
  /** Its path as it follows from the flags and variables. */
  readonly path: string;
  readonly place: DatabasePlace;
  /** Why it can't be written; null where it can, or that isn't known. */
  readonly unwritable: string | null;
  /** Why it can't be read; null where it can. */
  readonly unreadable: string | null;
  readonly header: FileHeader | null;
  /** Size of the log; null where there is none. */
  readonly logBytes: number | null;
  /** Whether the log's index is beside it. */
  readonly hasIndex: boolean;
  readonly index: LogIndex | null;
  /** Size of the rollback journal; null where there is none. */
  readonly journalBytes: number | null;
  /** The file system that it is on; null where that can't be told. */
  readonly mount: Mount | null;
  /** Who keeps commits in the log by an old reading transaction. */
  readonly lateReaders: readonly Holder[];
  /** Who keeps others from writing. */
  readonly writers: readonly Holder[];
  /** Who has a lock on it, also where its open files can't be looked at. */
  readonly lockers: readonly Holder[];
}

/** What looking into a database gave. */
export type Content =
  | {
    readonly kind: "read";
    readonly how: UntouchedMode;
    /** The settings as SQLite has them; null where the file itself isn't open. */
    readonly inForce: SettingsInForce | null;
  }
  | { readonly kind: "failed"; readonly failure: SerializedError }
  /**
   * A `journal` has to be played back first, SQLite would create `files`, or the file itself says why
   * not.
   */
  | { readonly kind: "unread"; readonly because: "journal" | "files" | null };

export function subject(database: string): string {
  return database === LEDGER ? "the ledger" : database;
}

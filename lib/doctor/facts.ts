/**
 * What doctor finds, as plain data, and the checks that it makes of it.
 *
 * @module
 */
import { LEDGER } from "../state/workspace.ts";
import type { Holder } from "../base/lock_holders.ts";
import type { SerializedError } from "../base/errors.ts";
import type { SettingsInForce } from "../database/mod.ts";
import type { FileHeader, LogIndex, UntouchedMode } from "../database/untouched.ts";
import type { ConnectionSettings } from "../database/connection.ts";
import type { Migration } from "../migration/migration.ts";
import type { SnapshotEntry } from "../snapshot/store.ts";
import type { LedgerEvent } from "../state/ledger.ts";
import type { Marker } from "../state/marker.ts";
import type { Status } from "../state/status.ts";
import type { Mount, Openers } from "./linux.ts";

/** Groups of checks, in the order of the output. */
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

/** A check and its result. */
export interface Check {
  /** Group that it belongs to. */
  readonly group: (typeof groups)[number];
  /** `problem`: needs action; `notice`: worth knowing; `ok`: as it should be. */
  readonly level: "ok" | "notice" | "problem";
  /** Stable name of the condition. */
  readonly code: string;
  /** Name of the database it concerns; null if it concerns all. */
  readonly database: string | null;
  /** The finding. */
  readonly detail: string;
  /** What to do; null if nothing needs to be done. */
  readonly help: string | null;
}

/** Makes checks of one group, about one database or all of them. */
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

/** Owner of a file, as a suffix for a sentence; empty if the system does not say. */
export function ownerIn({ uid, gid, mode }: Deno.FileInfo): string {
  return uid === null || mode === null
    ? ""
    : `; it is of user ${uid} and group ${gid}, with mode ${(mode & 0o7777).toString(8)}`;
}

/** The program and its permissions. */
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
  /** Names of granted permissions that the toolkit does not need. */
  readonly spare: readonly string[];
}

/** The directory of the databases. */
export interface DirectoryFacts {
  readonly path: string;
  readonly state: "directory" | "missing" | "file" | "unreachable";
  /** Why it can't be reached. */
  readonly reason: string | null;
  readonly realPath: string | null;
  /** Whether it or its parent exists; null if unknown. */
  readonly hasParent: boolean | null;
  readonly mayRead: boolean;
  readonly mayWrite: boolean;
  /** Whether this user may create files in it; null if unknown. */
  readonly isWritable: boolean | null;
  readonly info: Deno.FileInfo | null;
  /** The file system it is, or would be, on; null if unknown. */
  readonly mount: Mount | null;
  /** Free bytes on its disk; null if unknown. */
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
  /** Null if the system does not say. */
  readonly openers: Openers | null;
  /** By database name, the processes that block other writers for longer than a moment. */
  readonly blockers: ReadonlyMap<string, readonly Holder[]>;
  readonly state: StateFacts;
  readonly own: OwnFacts;
  readonly locks: readonly LockFacts[];
  /** Whether a migrator was running before or after the databases were examined. */
  readonly isMigrating: boolean;
  readonly leftovers: readonly Leftover[];
  /** Paths of the SQLite files in the data directory that no database name covers. */
  readonly uncovered: readonly string[];
  readonly backups: string;
  readonly backupsDirectory: DirectoryFacts;
  readonly snapshots: readonly SnapshotEntry[];
}

/** What to examine. */
export interface DoctorRequest {
  /** Prefix of each file name. */
  readonly prefix: string;
  /** Source of the prefix. */
  readonly prefixFrom: "flag" | "variable" | "default";
  /** Value of `DB_PATH_PREFIX`, used or not. */
  readonly variable: string | undefined;
  /** The requested settings, without the invalid ones. */
  readonly settings: ConnectionSettings;
  /** Errors of invalid variables. */
  readonly wrongVariables: readonly SerializedError[];
  /** Variables that Deno may not read. */
  readonly hiddenVariables: readonly string[];
  /** Directory of the user's own migrations; null if there is none. */
  readonly migrationsDir: string | null;
  /** The files of the databases by name. */
  readonly databases: Readonly<Record<string, string>>;
  /** Location of the ledger: a path or an address. */
  readonly ledger: string;
  /** Directory of the snapshots; undefined if the prefix decides. */
  readonly backupDir: string | undefined;
  /** Whether there is a configuration file. */
  readonly hasConfiguration: boolean;
  /** The migrations that come with the toolkit. */
  readonly bundled: readonly Migration[];
}

/** The combined state of databases and migrations. */
export interface StateFacts {
  /** Null if unknown. */
  readonly status: Status | null;
  readonly failures: readonly (SerializedError & { readonly database: string | null })[];
  readonly markers: ReadonlyMap<string, readonly Marker[]>;
  /** Newest first. */
  readonly events: readonly LedgerEvent[];
  /** Whether the ledger was read or does not exist; otherwise the status ignores it. */
  readonly isLedgerRead: boolean;
}

/** The user's own migrations. */
export interface OwnFacts {
  readonly directory: string | null;
  readonly migrations: readonly Migration[];
  readonly failures: readonly SerializedError[];
  /** Names of the other files in the directory, without their endings. */
  readonly unusable: readonly string[];
  /** Description of files that look like migrations but are not; null if there are none. */
  readonly misnamed: string | null;
}

/** What was found about one database: its files and its content. */
export type LookedDatabase = DatabaseFacts & {
  readonly content: Content;
  /** Whether it was written meanwhile, so that it may not have been read consistently. */
  readonly isChanging: boolean;
};

/** Kinds of leftover files; `stray`: named like a snapshot's file, but part of none. */
export type LeftoverKind =
  | "log-without-database"
  | "index-without-database"
  | "restore-note"
  | "restore-part"
  | "database-part"
  | "moved-aside"
  | "export-part"
  | "rehearsal"
  | "snapshot-unfinished"
  | "snapshot-part"
  | "snapshot-unpacked"
  | "snapshot-stray";

/** A file or directory that a program has left. */
export interface Leftover {
  readonly kind: LeftoverKind;
  readonly path: string;
}

/** A migrator's lock file. */
export interface LockFacts {
  readonly path: string;
  /** Null if unknown. */
  readonly isHeld: boolean | null;
  /** The last holder, according to the file. */
  readonly holder: string;
  readonly info: Deno.FileInfo | null;
  /** Why it can't be locked; null if it can, or if that is unknown. */
  readonly unwritable: string | null;
}

/** What exists at a database's path. */
export type DatabasePlace =
  | { readonly kind: "file"; readonly realPath: string; readonly info: Deno.FileInfo }
  | { readonly kind: "missing" }
  /** It is on a server, and has no local files. */
  | { readonly kind: "server" }
  | { readonly kind: "directory" }
  /** A link whose target is missing. */
  | { readonly kind: "broken-link" }
  | { readonly kind: "unreachable"; readonly reason: string; readonly isPermission: boolean };

/** What was found about one database's files. */
export interface DatabaseFacts {
  /** Its name; the ledger is called `migrations`. */
  readonly name: string;
  /** Its path, derived from flags and variables. */
  readonly path: string;
  readonly place: DatabasePlace;
  /** Why it can't be written; null if it can, or if that is unknown. */
  readonly unwritable: string | null;
  /** Why it can't be read; null if it can. */
  readonly unreadable: string | null;
  readonly header: FileHeader | null;
  /** Size of the log; null if there is none. */
  readonly logBytes: number | null;
  /** Whether the log's index exists. */
  readonly hasIndex: boolean;
  readonly index: LogIndex | null;
  /** Size of the rollback journal; null if there is none. */
  readonly journalBytes: number | null;
  /** The file system it is on; null if unknown. */
  readonly mount: Mount | null;
  /** Processes whose old read transactions keep commits in the log. */
  readonly lateReaders: readonly Holder[];
  /** Processes that block other writers. */
  readonly writers: readonly Holder[];
  /** Processes with a lock on it, even if their open files can't be read. */
  readonly lockers: readonly Holder[];
}

/** Result of examining the content of a database. */
export type Content =
  | {
    readonly kind: "read";
    readonly how: UntouchedMode;
    /** The settings in SQLite; null if the file itself is not open. */
    readonly inForce: SettingsInForce | null;
  }
  | { readonly kind: "failed"; readonly failure: SerializedError }
  /**
   * `journal`: it must be rolled back first. `files`: SQLite would create them. Null: the file
   * itself is the reason.
   */
  | { readonly kind: "unread"; readonly because: "journal" | "files" | null };

export function subject(database: string): string {
  return database === LEDGER ? "the ledger" : database;
}

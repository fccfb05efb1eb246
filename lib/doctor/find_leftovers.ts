import { partFileOf } from "../base/paths.ts";
import { isSnapshotName, reservationOf } from "../snapshot/names.ts";
import { storeLock } from "../snapshot/store.ts";
import { ledgerOf, lockBeside, restoreJournal } from "../state/workspace.ts";
import { isRehearsal, rehearsalLock } from "../engine/remove_leftovers.ts";
import { type Check, checksOf, type Facts, type Leftover, type LeftoverKind } from "./facts.ts";

/** What is in a directory. */
export interface Listing {
  /** The directory as a prefix of paths: `data/`, or empty. */
  readonly prefix: string;
  /** Names of its files and directories. */
  readonly names: readonly string[];
}

/** What is known about the names. */
export interface ListingOptions {
  /** Prefix of the names of the databases' files, such as `test_`; often empty. */
  readonly beginning: string;
  /** Names of the databases, the ledger included. */
  readonly databases: readonly string[];
}

/** What an export, which may have any name, is called while it is being written. */
const EXPORT_PART = /\.catalyst\.part$/;

/** Leftovers next to the databases, by their names. */
export function leftoversBeside(
  { prefix, names }: Listing,
  { beginning, databases }: ListingOptions,
): Leftover[] {
  const there = new Set(names);
  const own = databases.map((name) => `${beginning}${name}.db`);
  const note = restoreJournal(ledgerOf(beginning));
  return names.toSorted().flatMap((name): Leftover[] => {
    const found = (kind: LeftoverKind): Leftover[] => [{ kind, path: prefix + name }];
    if (name === note) return found("restore-note");
    if (name === partFileOf(note)) return found("restore-part");
    if (isRehearsal(name, beginning)) return found("rehearsal");
    if (name.startsWith(beginning) && EXPORT_PART.test(name)) return found("export-part");
    const file = own.find((one) => name.startsWith(one));
    if (file === undefined) return [];
    const ending = name.slice(file.length);
    if (/^-(wal|journal)$/.test(ending) && !there.has(file)) return found("log-without-database");
    if (ending === "-shm" && !there.has(file)) return found("index-without-database");
    if (/^(\.import)?\.part$/.test(ending)) return found("database-part");
    if (/^\.damaged_\d+$/.test(ending)) return found("moved-aside");
    return [];
  });
}

/** Leftovers among the snapshots, by their names; `whole` are the files listed in a manifest. */
export function leftoversAmongSnapshots(
  { prefix, names }: Listing,
  whole: ReadonlySet<string>,
): Leftover[] {
  return names.toSorted().flatMap((name): Leftover[] => {
    const found = (kind: LeftoverKind): Leftover[] => [{ kind, path: prefix + name }];
    if (reservationOf(name) !== null) return found("snapshot-unfinished");
    if (/^\w+\.db\.gz\.unpacked_\d+\.part$/.test(name)) return found("snapshot-unpacked");
    if (/^(snapshot_\w+\.json|\w+\.db(\.gz)?(\.plain)?)\.part$/.test(name)) {
      return found("snapshot-part");
    }
    const [, moment = ""] = /^\w+?_(\d{8}_\d{6}(?:_\d+)?)\.db(?:\.gz)?$/.exec(name) ?? [];
    return isSnapshotName(moment) && !whole.has(name) ? found("snapshot-stray") : [];
  });
}

/** What a kind of leftovers is, and what to do; a notice by default. */
type Advice = readonly [what: string, help: string, level?: "problem"];

const ADVICE: Readonly<Record<LeftoverKind, Advice>> = {
  "log-without-database": [
    "has commits of a missing database",
    "restore the database next to it, or move it away: SQLite deletes it when it creates a new database",
    "problem",
  ],
  "index-without-database": ["belongs to a missing database", "it may be deleted"],
  "restore-note": [
    "shows that a restore was interrupted, so the databases do not match each other",
    "run `upgrade`, which completes it; do not delete the file",
    "problem",
  ],
  "restore-part": [
    "belongs to a restore that was killed before it changed anything",
    "it may be deleted; the next command that changes something does that",
  ],
  "database-part": [
    "was being built by a killed import or restore",
    "it may be deleted while no catalyst-migrate runs",
  ],
  "moved-aside": [
    "is a damaged database that a restore moved aside",
    "it may be deleted when you no longer need its data",
  ],
  "export-part": [
    "is the output of an export that is running, or was killed",
    "it may be deleted while no `export` runs",
  ],
  "rehearsal": [
    "has the copies of a killed `rehearse` or `backup verify --restore`",
    "it may be deleted; the next `rehearse` does that",
  ],
  "snapshot-unfinished": [
    "belongs to an unfinished snapshot",
    "the next `backup` removes its files",
  ],
  "snapshot-part": [
    "is a file of an unfinished snapshot",
    "it may be deleted while no catalyst-migrate runs; the next `backup` does that",
  ],
  "snapshot-unpacked": [
    "was unpacked from a snapshot by a command that is running, or was killed",
    "it may be deleted while no catalyst-migrate runs; `backup` does that after a day",
  ],
  "snapshot-stray": [
    "is named like a snapshot's file but belongs to none",
    "it may be deleted, unless it is your own copy",
  ],
};

/** Kinds that are in use, not left over, while a migrator or a backup is running. */
const IN_USE: Readonly<Partial<Record<LeftoverKind, "migrator" | "store">>> = {
  "restore-note": "migrator",
  "restore-part": "migrator",
  "database-part": "migrator",
  "snapshot-unfinished": "store",
  "snapshot-part": "store",
  "snapshot-stray": "store",
};

/** Checks of locks, leftovers and snapshots. */
export function diagnoseLeftovers(
  { leftovers, locks, request, directory, backups, snapshots }: Facts,
): Check[] {
  const { ok, notice, problem } = checksOf("leftovers");
  const lockAt = (path: string) => locks.find((lock) => lock.path === path);
  const at = {
    migrator: lockAt(lockBeside(ledgerOf(request.prefix)))?.isHeld === true,
    store: lockAt(storeLock(backups))?.isHeld === true,
  };
  const left = leftovers.filter(({ kind, path }) => {
    const user = IN_USE[kind];
    // If it is unknown whether a rehearsal is running, it is not reported as killed.
    if (kind === "rehearsal") {
      const lock = lockAt(rehearsalLock(path));
      return lock === undefined || lock.isHeld === false;
    }
    return user === undefined || !at[user];
  });
  const files = left.map(({ kind, path }) => {
    const [what, help, level = "notice"] = ADVICE[kind];
    return checksOf("leftovers")[level](kind, `${path} ${what}`, help);
  });
  const held = locks.filter((lock) => lock.isHeld === true).map(({ path, holder }) =>
    notice(
      "lock-held",
      `${path} is held${holder === "" ? "" : ` by ${holder}`}: a catalyst-migrate is running`,
      "let it finish; the lock goes with its process",
    )
  );
  const damaged = snapshots.filter(({ problems }) => problems.length > 0).map((snapshot) =>
    problem(
      "snapshot-damaged",
      `snapshot ${snapshot.name} in ${backups} can't be used: ${snapshot.problems.join("; ")}`,
      "take another one with `backup`, and delete the files of this one when it is no longer needed",
    )
  );
  const found = [...held, ...files, ...damaged];
  if (found.length === 0 && !directory.mayRead) return [];
  return found.length > 0
    ? found
    : [ok("no-leftovers", "no lock is held, and there are no leftovers")];
}

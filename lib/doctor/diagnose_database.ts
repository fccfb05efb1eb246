import { lastGood } from "../snapshot/store.ts";
import type { LastGood } from "../state/lost_databases.ts";
import { wayBack } from "../state/status.ts";
import { LEDGER } from "../state/workspace.ts";
import { formatBytes, shellWord } from "../base/format.ts";
import { type ConnectionSettings, defaultSettings } from "../database/connection.ts";
import {
  type Check,
  checksOf,
  type Facts,
  type LookedDatabase,
  ownerIn,
  processes,
  type StateFacts,
  subject,
} from "./facts.ts";

/** Whether a database is missing or empty. */
function isBare({ place }: LookedDatabase): boolean {
  return place.kind === "missing" || place.kind === "file" && place.info.size === 0;
}

/** Whether `status` finds the database lost. Its tables may be in a log that was not read. */
function isLost({ name, content }: LookedDatabase, { status }: StateFacts): boolean {
  return !(content.kind === "read" && content.how === "without-log") && status !== null &&
    status.lost.some(({ database }) => database === name);
}

/** The last good snapshot of a missing or empty database. */
function lastGoodOf({ name }: LookedDatabase, { snapshots, backups }: Facts): LastGood | null {
  return name === LEDGER ? null : lastGood(snapshots, { database: name, directory: backups });
}

/** How to bring a database back. */
function waysBack(facts: LookedDatabase, good: LastGood | null): string {
  return good === null
    ? "`restore` a snapshot"
    : wayBack({ database: facts.name, snapshot: good.name });
}

/** Whether a missing or empty database may have had rows, judging by the ledger. */
export function mayBeLost(facts: LookedDatabase, state: StateFacts): boolean {
  return isLost(facts, state) || isBare(facts) && !state.isLedgerRead;
}

/** Checks of one database. */
export function diagnoseDatabase(facts: LookedDatabase, all: Facts): Check[] {
  const { request, directory, isMigrating } = all;
  const { name, path, place } = facts;
  const { ok, problem } = checksOf("databases", name);
  switch (place.kind) {
    case "missing":
      // Reported once, for the directory.
      return directory.state === "directory" ? bareChecks(facts, all) : [];
    case "server":
      return [
        facts.content.kind === "failed"
          ? problem(
            "server-unreachable",
            facts.content.failure.message,
            facts.content.failure.help ?? "check the server",
          )
          : ok("database-server", `${path}: the server answers`),
      ];
    case "directory":
      return [problem(
        "database-is-directory",
        `${path} is a directory`,
        "move it away, or choose another location for the databases",
      )];
    case "broken-link":
      return [problem(
        "link-broken",
        `${path} is a broken link`,
        "correct the link, or remove it",
      )];
    case "unreachable":
      // A missing permission is reported only once.
      return place.isPermission ? [] : [problem(
        "database-unreachable",
        `${path} can't be examined: ${place.reason}`,
        "check that this user may read the directory of the databases, and that --allow-read and " +
          "--allow-write include the target of a link",
      )];
    case "file": {
      const size = place.info.size;
      const isBare = size === 0 && name !== LEDGER || isLost(facts, all.state);
      const empty = isBare ? bareChecks(facts, all) : [];
      const checks = [
        ...fileChecks(facts),
        ...empty.length > 0 ? empty : damageChecks(facts, lastGoodOf(facts, all)),
        ...logChecks(facts, { settings: request.settings, isMigrating }),
        ...modeChecks(facts, request.settings),
      ];
      const isTold = checks.some(({ level, code }) =>
        level === "problem" || code === "database-empty"
      );
      const given = Deno.build.os === "windows" ? path.replaceAll("/", "\\") : path;
      const link = place.realPath.endsWith(given) ? "" : `, a link to ${place.realPath}`;
      return isTold || facts.header === null && size > 0 ? checks : [
        ok(
          "database-file",
          size === 0
            ? `${path} is empty`
            : `${path}${link}, ${formatBytes(size)}, ${
              facts.header?.isWal ? "WAL" : "rollback journal"
            }, pages of ${facts.header?.pageSize} bytes`,
          null,
        ),
        ...checks,
      ];
    }
  }
}

/** Databases that this Deno can't read without leaving files. */
export function unreadChecks({ databases, system }: Facts): Check[] {
  const names = databases.filter(({ content }) =>
    content.kind === "unread" && content.because === "files"
  ).map(({ name }) => subject(name));
  if (names.length === 0) return [];
  return [
    checksOf("databases").notice(
      "databases-not-read",
      `${names.join(", ")}: not examined, because SQLite would create or change files next to it`,
      "`status` and `verify` examine them" +
        (system.isStandalone ? "" : "; `doctor` can with -A"),
    ),
  ];
}

function fileChecks({ name, path, place, unreadable, unwritable }: LookedDatabase): Check[] {
  const { problem } = checksOf("databases", name);
  if (place.kind !== "file") return [];
  const owner = ownerIn(place.info);
  if (unreadable !== null) {
    return [problem(
      "database-unreadable",
      `${path} can't be read: ${unreadable}${owner}`,
      "run this as the owner of the file, or let this user read it",
    )];
  }
  if (unwritable === null) return [];
  return [problem(
    "database-read-only",
    `${path} can't be written: ${unwritable}${owner}`,
    "run this as the owner of the file, or let this user write the file and its directory",
  )];
}

/** Whether a missing or empty database had content before. */
function bareChecks(facts: LookedDatabase, all: Facts): Check[] {
  const { state, request, own } = all;
  const { name, path, place } = facts;
  const { notice, problem } = checksOf("databases", name);
  const good = lastGoodOf(facts, all);
  const isMissing = place.kind === "missing";
  const hasMigrations = name === LEDGER ||
    [...request.bundled, ...own.migrations].some(({ database }) => database === name);
  const is = isMissing
    ? "is missing"
    : place.kind === "file" && place.info.size > 0
    ? "has no tables"
    : "is empty";
  const creates = isMissing ? "`upgrade` creates it" : "`upgrade` creates a database in it";
  // The state of an empty file beside a journal is not read.
  if (isLost(facts, state) || good?.hasRows) {
    const back = good === null ? "restore the file or `restore` a snapshot" : waysBack(facts, good);
    const recorded = isMissing ? "it existed" : "migrations were applied to it";
    return [problem(
      isMissing ? "database-gone" : "database-emptied",
      `${path} ${is}, but ${
        good?.hasRows ? `snapshot ${good.name} has rows of it` : `the ledger says that ${recorded}`
      }`,
      hasMigrations ? `${back}; otherwise ${creates} without rows` : back,
    )];
  }
  if (!isMissing) {
    return state.isLedgerRead ? [] : [notice(
      "database-empty",
      `${path} is empty; whether it ever was a database is unknown, because the ledger was not read`,
      `if it was, \`restore\` a snapshot; otherwise ${creates}`,
    )];
  }
  const upgrade = hasMigrations ? creates : "its program creates it: it has no migrations";
  return [
    state.isLedgerRead ? notice("database-missing", `${path} does not exist yet`, upgrade) : notice(
      "database-missing",
      `${path} does not exist; whether it ever did is unknown, because the ledger was not read`,
      `if it did, restore the file or \`restore\` a snapshot; otherwise ${upgrade}`,
    ),
  ];
}

/** Signs of damage that can be found without reading the whole file. */
function damageChecks(facts: LookedDatabase, good: LastGood | null): Check[] {
  const { name, path, place, header, content, logBytes, journalBytes, unreadable } = facts;
  if (place.kind !== "file" || unreadable !== null) return [];
  const { ok, notice, problem } = checksOf("databases", name);
  const { size } = place.info;
  const restore = name === LEDGER
    ? `\`restore\` a snapshot, or move ${path} away: \`upgrade\` creates a new one, without history`
    : `${waysBack(facts, good)}; to save what is readable: sqlite3 ${shellWord(path)} .recover`;
  if (facts.isChanging && (header === null || content.kind === "failed")) {
    return [notice(
      "database-busy",
      "a program writes to it so often that it could not be read consistently",
      "`verify` can read it during writes; or run `doctor` again later",
    )];
  }
  if (size > 0 && header === null) {
    return [problem(
      "not-a-database",
      `${path} is not an SQLite database, or it is encrypted`,
      name === LEDGER
        ? "decrypt it, or move the file away: `upgrade` creates a new one, without history"
        : `${
          good === null ? "" : `${waysBack(facts, good)}; otherwise `
        }move the file away or decrypt it`,
    )];
  }
  // A log or a running transaction may make the file larger or smaller than its header says.
  const should = header?.pages == null || (logBytes ?? 0) > 0 || (journalBytes ?? 0) > 0
    ? null
    : header.pages * header.pageSize;
  if (should !== null && size < should) {
    return [problem(
      "database-cut-short",
      `${path} has ${size} bytes, and should have ${should}: it was truncated`,
      restore,
    )];
  }
  switch (content.kind) {
    case "failed":
      return content.failure.code === "DATABASE_LOCKED"
        ? [notice(
          "database-locked",
          `it can't be read: a program has locked it exclusively`,
          "stop that program, then run `doctor` again",
        )]
        : [problem("database-damaged", content.failure.message, restore)];
    case "unread":
      // Those that need more permissions are reported together.
      return content.because !== "journal" ? [] : [notice(
        "database-not-read",
        "it was not examined, because the journal next to it must be rolled back first",
        "`status` and `verify` examine it",
      )];
    case "read":
      return content.how === "without-log"
        ? [notice(
          "log-not-read",
          "the commits in its log were not examined: that would create a file",
          "`status` and `verify` examine them",
        )]
        : [ok("database-readable", "no sign of damage; `verify --data` reads all of it")];
  }
}

/** A log this many times larger than its usual size counts as large. */
const LARGE = 10;

const FRAME_HEADER = 24;

interface LogContext {
  readonly settings: ConnectionSettings;
  /** Whether a migrator is running. */
  readonly isMigrating: boolean;
}

function logChecks(facts: LookedDatabase, { settings, isMigrating }: LogContext): Check[] {
  const { name, path, header, logBytes, index, hasIndex, journalBytes, lockers, writers } = facts;
  const { ok, notice, problem } = checksOf("databases", name);
  const checks: Check[] = [];
  if (header !== null && !header.isWal && (journalBytes ?? 0) > 0 && writers.length === 0) {
    checks.push(notice(
      "journal-left",
      `${path}-journal exists: a writer is active, or was killed`,
      "leave it in place: the next program that opens the database rolls it back",
    ));
  }
  if (header === null || logBytes === null || logBytes === 0) return checks;
  const frame = header.pageSize + FRAME_HEADER;
  const pages = settings.walAutocheckpoint > 0
    ? settings.walAutocheckpoint
    : defaultSettings.walAutocheckpoint;
  if (!hasIndex || index === null) {
    return [
      ...checks,
      notice(
        "log-left",
        `${path}-wal has ${formatBytes(logBytes)} of commits from a killed program, or from a copy`,
        "leave it next to the database: the next program that opens the database applies them",
      ),
    ];
  }
  const waiting = Math.max(0, index.frames - index.moved) * frame;
  // A migrator checkpoints when it has finished.
  if (waiting <= LARGE * pages * frame || isMigrating) {
    return [...checks, ok("log", `its log has ${formatBytes(logBytes)}`)];
  }
  const inLog = `${formatBytes(waiting)} of commits are in its log but not in the database`;
  if (facts.lateReaders.length > 0) {
    checks.push(problem(
      "checkpoint-blocked",
      `${inLog}, because of an old read transaction of ${processes(facts.lateReaders)}`,
      "let that program finish its query, or stop it; until then the log grows",
    ));
  } else {
    checks.push(notice(
      "log-large",
      lockers.length > 0 ? `${inLog}; ${processes(lockers)} has it open` : inLog,
      "nothing is lost: the next program that writes to it moves them; a program that sets " +
        "wal_autocheckpoint to 0 must run PRAGMA wal_checkpoint(TRUNCATE) itself",
    ));
  }
  return checks;
}

function modeChecks({ name, path, header }: LookedDatabase, settings: ConnectionSettings): Check[] {
  if (header === null || header.isWal === (settings.journalMode === "WAL")) return [];
  const { notice } = checksOf("settings", name);
  const [is, asked] = header.isWal ? ["WAL", settings.journalMode] : ["not WAL", "WAL"];
  return [notice(
    "journal-mode-differs",
    `its journal mode is ${is}, but ${asked} is requested` +
      (header.isWal ? "" : "; readers and writers block each other"),
    "only a new file gets the requested mode; with all programs stopped: " +
      `sqlite3 ${shellWord(path)} "PRAGMA journal_mode = ${settings.journalMode}"`,
  )];
}

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

/** Whether a database is missing or empty, and the ledger says that migrations were applied to it. */
function isLost(facts: LookedDatabase, { status }: StateFacts): boolean {
  return facts.name !== LEDGER && isBare(facts) && status !== null &&
    status.migrations.some(({ id, database }) =>
      database === facts.name && status.unreconciled.includes(id)
    );
}

/** Whether rows may have been in a database that is missing or empty, as far as the ledger tells. */
export function mayBeLost(facts: LookedDatabase, state: StateFacts): boolean {
  return isLost(facts, state) || isBare(facts) && !state.isLedgerRead;
}

/** What is the case with one database. */
export function diagnoseDatabase(
  facts: LookedDatabase,
  { request, state, directory, isMigrating }: Facts,
): Check[] {
  const { name, path, place } = facts;
  const { ok, notice, problem } = checksOf("databases", name);
  switch (place.kind) {
    case "missing": {
      // That is told of the directory, once for all.
      if (directory.state !== "directory") return [];
      const upgrade = "`upgrade` creates it";
      if (isLost(facts, state)) {
        return [problem(
          "database-gone",
          `${path} isn't there, though the ledger says that it was`,
          `put it back, or \`restore\` a snapshot; else ${upgrade} without rows`,
        )];
      }
      return [
        state.isLedgerRead
          ? notice("database-missing", `${path} isn't there yet`, upgrade)
          : notice(
            "database-missing",
            `${path} isn't there; whether it ever was can't be told, since the ledger was not read`,
            `if it was, put it back, or \`restore\` a snapshot; else ${upgrade}`,
          ),
      ];
    }
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
        "move it away, or name another place for the databases",
      )];
    case "broken-link":
      return [problem(
        "link-broken",
        `${path} is a link to a place where nothing is`,
        "correct the link, or remove it",
      )];
    case "unreachable":
      // A permission that is missing is told once for all.
      return place.isPermission ? [] : [problem(
        "database-unreachable",
        `${path} can't be looked at: ${place.reason}`,
        "check that this user may read the directory of the databases, and that --allow-read and " +
          "--allow-write name the one that a link leads to",
      )];
    case "file": {
      const empty = emptyChecks(facts, state);
      const checks = [
        ...fileChecks(facts),
        ...empty.length > 0 ? empty : damageChecks(facts),
        ...logChecks(facts, { settings: request.settings, isMigrating }),
        ...modeChecks(facts, request.settings),
      ];
      const size = place.info.size;
      const isTold = checks.some(({ level, code }) =>
        level === "problem" || code === "database-empty"
      );
      const given = Deno.build.os === "windows" ? path.replaceAll("/", "\\") : path;
      const link = place.realPath.endsWith(given) ? "" : `, in truth ${place.realPath}`;
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

/** Databases into which this Deno can't look without a trace. */
export function unreadChecks({ databases, system }: Facts): Check[] {
  const names = databases.filter(({ content }) =>
    content.kind === "unread" && content.because === "files"
  ).map(({ name }) => subject(name));
  if (names.length === 0) return [];
  return [
    checksOf("databases").notice(
      "databases-not-read",
      `${names.join(", ")}: not looked into, because SQLite would create or change files beside it`,
      "`status` and `verify` look into them" +
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
      "run this as the user that the file is of, or let this user read it",
    )];
  }
  if (unwritable === null) return [];
  return [problem(
    "database-read-only",
    `${path} can't be written: ${unwritable}${owner}`,
    "run this as the user that the file is of, or let this user write the file and its directory",
  )];
}

/** Whether an empty file is what is left of a database. */
function emptyChecks(facts: LookedDatabase, state: StateFacts): Check[] {
  const { name, path, place } = facts;
  if (place.kind !== "file" || place.info.size > 0 || name === LEDGER) return [];
  const { notice, problem } = checksOf("databases", name);
  const upgrade = "`upgrade` makes a database of it";
  if (isLost(facts, state)) {
    return [problem(
      "database-emptied",
      `${path} is empty, though the ledger says that migrations were applied to it`,
      `\`restore\` a snapshot; else ${upgrade}, without rows`,
    )];
  }
  return state.isLedgerRead ? [] : [notice(
    "database-empty",
    `${path} is empty; whether it ever was a database can't be told, since the ledger was not read`,
    `if it was, \`restore\` a snapshot; else ${upgrade}`,
  )];
}

/** Signs of damage that don't take reading the whole file. */
function damageChecks(facts: LookedDatabase): Check[] {
  const { name, path, place, header, content, logBytes, journalBytes, unreadable } = facts;
  if (place.kind !== "file" || unreadable !== null) return [];
  const { ok, notice, problem } = checksOf("databases", name);
  const { size } = place.info;
  const restore = name === LEDGER
    ? `\`restore\` a snapshot, or move ${path} away: \`upgrade\` makes a new one, without history`
    : `\`restore\` a snapshot; to save what is readable: sqlite3 ${shellWord(path)} .recover`;
  if (facts.isChanging && (header === null || content.kind === "failed")) {
    return [notice(
      "database-busy",
      "a program writes so much to it that it could not be seen whole",
      "`verify` reads it beside the writer; or run `doctor` again later",
    )];
  }
  if (size > 0 && header === null) {
    return [problem(
      "not-a-database",
      `${path} is not an SQLite database, or it is encrypted`,
      name === LEDGER
        ? "decrypt it, or move the file away: `upgrade` makes a new one, without history"
        : "move the file away or decrypt it",
    )];
  }
  // While there is a log, the file may lag behind; in a transaction it grows.
  const should = header?.pages == null || (logBytes ?? 0) > 0 || (journalBytes ?? 0) > 0
    ? null
    : header.pages * header.pageSize;
  if (should !== null && size < should) {
    return [problem(
      "database-cut-short",
      `${path} has ${size} bytes, and should have ${should}: it was cut short`,
      restore,
    )];
  }
  switch (content.kind) {
    case "failed":
      return content.failure.code === "DATABASE_LOCKED"
        ? [notice(
          "database-locked",
          `it can't be read: a program has locked it for itself`,
          "stop that program, then run `doctor` again",
        )]
        : [problem("database-damaged", content.failure.message, restore)];
    case "unread":
      // Those for which it takes another Deno are told at once.
      return content.because !== "journal" ? [] : [notice(
        "database-not-read",
        "it was not looked into, since a journal beside it has to be played back first",
        "`status` and `verify` look into it",
      )];
    case "read":
      return content.how === "without-log"
        ? [notice(
          "log-not-read",
          "the commits in its log were not looked into: that would create a file",
          "`status` and `verify` look into them",
        )]
        : [ok("database-readable", "no sign of damage; `verify --data` reads all of it")];
  }
}

/** How many times as large as it would be by itself a log counts as large. */
const LARGE = 10;

const FRAME_HEADER = 24;

interface LogContext {
  readonly settings: ConnectionSettings;
  /** Whether a migrator is at work. */
  readonly isMigrating: boolean;
}

function logChecks(facts: LookedDatabase, { settings, isMigrating }: LogContext): Check[] {
  const { name, path, header, logBytes, index, hasIndex, journalBytes, lockers, writers } = facts;
  const { ok, notice, problem } = checksOf("databases", name);
  const checks: Check[] = [];
  if (header !== null && !header.isWal && (journalBytes ?? 0) > 0 && writers.length === 0) {
    checks.push(notice(
      "journal-left",
      `${path}-journal is beside it: a writer is at it, or was killed`,
      "leave it there: the next program that opens the database plays it back",
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
        `${path}-wal has ${
          formatBytes(logBytes)
        } of commits of a program that was killed, or of a copy`,
        "leave it beside the database: who opens that next takes them over",
      ),
    ];
  }
  const waiting = Math.max(0, index.frames - index.moved) * frame;
  // A migrator moves them itself when it has finished.
  if (waiting <= LARGE * pages * frame || isMigrating) {
    return [...checks, ok("log", `its log has ${formatBytes(logBytes)}`)];
  }
  const inLog = `${formatBytes(waiting)} of commits are in its log and not in the database`;
  if (facts.lateReaders.length > 0) {
    checks.push(problem(
      "checkpoint-blocked",
      `${inLog}, because of an old reading transaction of ${processes(facts.lateReaders)}`,
      "let that program finish its query or stop it; the log grows until then",
    ));
  } else {
    checks.push(notice(
      "log-large",
      lockers.length > 0 ? `${inLog}; ${processes(lockers)} has it open` : inLog,
      "nothing is lost: the next program that writes to it moves them; one that sets " +
        "wal_autocheckpoint to 0 has to run PRAGMA wal_checkpoint(TRUNCATE) itself",
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
    `its journal mode is ${is}, and ${asked} is asked for` +
      (header.isWal ? "" : "; so readers and a writer wait for each other"),
    "only a new file gets the mode asked for; with all programs stopped: " +
      `sqlite3 ${shellWord(path)} "PRAGMA journal_mode = ${settings.journalMode}"`,
  )];
}

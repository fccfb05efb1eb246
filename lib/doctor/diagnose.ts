import { shellWord } from "../base/suggestion.ts";
import { defaultSettings } from "../database/settings.ts";
import { formatBytes, formatCount } from "../base/format.ts";
import { isOlder, oldestDeno, version } from "../base/version.ts";
import {
  type Check,
  checksOf,
  diagnoseDatabase,
  groups,
  ownerIn,
  unreadChecks,
} from "./diagnose_database.ts";
import { clockChecks, diskChecks, migrationChecks, processChecks } from "./diagnose_state.ts";
import type { Facts } from "./gather.ts";
import { diagnoseLeftovers } from "./leftovers.ts";
import { lockProblems } from "./locks.ts";

/** From this SQLite on, two checkpoints at once can't damage a database in WAL mode. */
const SOUND_SQLITE = "3.51.3";

/** Says of facts what is right, what to know and what is wrong; in the order of the groups. */
export function diagnose(facts: Facts): Check[] {
  const checks = [
    ...versionChecks(facts),
    ...permissionChecks(facts),
    ...pathChecks(facts),
    ...backupsChecks(facts),
    ...lockProblems(facts),
    ...settingChecks(facts),
    ...facts.databases.flatMap((one) => diagnoseDatabase(one, facts)),
    ...unreadChecks(facts),
    ...processChecks(facts),
    ...migrationChecks(facts),
    ...diagnoseLeftovers(facts),
    ...diskChecks(facts),
    ...clockChecks(facts),
  ];
  return groups.flatMap((group) => checks.filter((check) => check.group === group));
}

function versionChecks({ system, request }: Facts): Check[] {
  const { ok, notice, problem } = checksOf("versions");
  const { deno, isStandalone, platform, sqlite, sqliteOptions } = system;
  const program = isStandalone ? "the standalone executable" : "run by Deno";
  const option = (name: string) =>
    sqliteOptions.find((one) => one.startsWith(`${name}=`))?.slice(name.length + 1);
  return [
    ok(
      "toolkit",
      `catalyst-migrate ${version}, ${formatCount(request.bundled.length, "bundled migration")}, ` +
        `${program}, ${platform}`,
    ),
    isOlder(deno, oldestDeno)
      ? problem(
        "deno-too-old",
        `Deno ${deno} is older than ${oldestDeno}, the oldest that is supported`,
        "update it: deno upgrade",
      )
      : ok("deno", `Deno ${deno}`),
    isOlder(sqlite, SOUND_SQLITE)
      ? notice(
        "sqlite-old",
        `SQLite ${sqlite} has a fault that may damage a WAL database, though very rarely, where ` +
          `two programs checkpoint at once; ${SOUND_SQLITE} has it no more`,
        isStandalone ? "take a newer executable" : "update Deno, which brings it: deno upgrade",
      )
      : ok("sqlite", `SQLite ${sqlite}`),
    option("THREADSAFE") === "0"
      ? problem("sqlite-threads", "this SQLite was built without thread safety", "use another Deno")
      : ok(
        "sqlite-options",
        `built with THREADSAFE=${option("THREADSAFE")}, at most ` +
          `${formatBytes(Number(option("MAX_MMAP_SIZE") ?? 0))} of memory map`,
      ),
  ];
}

function permissionChecks({ request, directory, system }: Facts): Check[] {
  const { ok, notice, problem } = checksOf("permissions");
  const path = shellWord(directory.path);
  const missing = [
    ...directory.mayRead ? [] : [`--allow-read=${path}`],
    ...directory.mayWrite ? [] : [`--allow-write=${path}`],
    ...request.hiddenVariables.length === 0 ? [] : [`--allow-env=${request.hiddenVariables}`],
  ];
  const kinds = [
    ...directory.mayRead ? [] : [`read ${directory.path}`],
    ...directory.mayWrite ? [] : [`write ${directory.path}`],
    ...request.hiddenVariables.length === 0
      ? []
      : [`read the variables ${request.hiddenVariables.join(", ")}`],
  ];
  const checks = missing.length > 0
    ? [problem(
      "permission-missing",
      `Deno may not: ${kinds.join(", ")}`,
      `run it with ${missing.join(" ")}`,
    )]
    : [ok(
      "permissions",
      `Deno may read and write ${directory.path} and read the variables that are needed`,
    )];
  if (!system.isAllPermitted) {
    return [
      ...checks,
      notice(
        "permissions-narrow",
        "without all permissions it can't be told which programs have the databases open, how much " +
          "room is free, and whether the file system is fit for them",
        system.isStandalone
          ? "all is told by: deno run -A jsr:@catalyst/migrate doctor"
          : "for `doctor` alone, run it with -A; it changes nothing",
      ),
    ];
  }
  return [
    ...checks,
    ok(
      "permissions-spare",
      `it has more than is needed: ${system.spare.join(", ")}; \`doctor\` alone sees more with it`,
    ),
  ];
}

function pathChecks({ request, directory, workingDirectory }: Facts): Check[] {
  const { ok, notice, problem } = checksOf("paths");
  const { prefix, prefixFrom, variable } = request;
  const why = {
    flag: "as --data-dir says",
    variable: "as DB_PATH_PREFIX says",
    default: "by default",
  }[prefixFrom];
  const checks = [
    ok(
      "paths",
      `the databases are ${prefix}NAME.db, ${why}` +
        (workingDirectory === null ? "" : `, seen from ${workingDirectory}`),
    ),
  ];
  if (prefixFrom === "flag" && variable) {
    checks.push(ok("variable-unused", `DB_PATH_PREFIX=${variable} is not used, for --data-dir is`));
  }
  const create = `create it first: mkdir -p ${shellWord(directory.path)}`;
  switch (directory.state) {
    case "missing":
      checks.push(
        prefixFrom !== "variable" && directory.hasParent !== false
          ? notice("directory-missing", `${directory.path} isn't there yet`, "`upgrade` creates it")
          : problem(
            "directory-missing",
            `${directory.path} isn't there`,
            prefixFrom === "variable" ? `${create}, or correct DB_PATH_PREFIX` : create,
          ),
      );
      break;
    case "file":
      checks.push(problem(
        "directory-is-file",
        `${directory.path} is a file`,
        "name another directory with --data-dir, or move the file away",
      ));
      break;
    case "unreachable":
      if (directory.mayRead) {
        checks.push(problem(
          "directory-unreachable",
          `${directory.path} can't be looked at: ${directory.reason}`,
          "check that this user may read it",
        ));
      }
      break;
    case "directory": {
      if (directory.isWritable === false) {
        checks.push(problem(
          "directory-read-only",
          directory.mount?.readOnly
            ? `${directory.path} is on a file system that is mounted read-only`
            : `this user may not create files in ${directory.path}` +
              (directory.info === null ? "" : ownerIn(directory.info)),
          "let this user write there: SQLite keeps files beside each database",
        ));
      } else checks.push(ok("directory", directory.realPath ?? directory.path));
    }
  }
  return checks;
}

/** Whether snapshots can be taken, which `upgrade` does where rows are at stake. */
function backupsChecks({ backups, backupsDirectory }: Facts): Check[] {
  const { problem } = checksOf("paths");
  const { state, info, isWritable, mount } = backupsDirectory;
  if (state === "file") {
    return [problem(
      "backups-unwritable",
      `${backups} is a file, and has to be the directory of the snapshots`,
      "move it away",
    )];
  }
  // Of a file system that is mounted read-only it is said above.
  if (state !== "directory" || isWritable !== false || mount?.readOnly) return [];
  return [problem(
    "backups-unwritable",
    `this user may not create files in ${backups}, where the snapshots are` +
      (info === null ? "" : ownerIn(info)),
    "let this user write there, or run this as the user that it is of",
  )];
}

function settingChecks({ request, databases }: Facts): Check[] {
  const { ok, notice, problem } = checksOf("settings");
  const { settings, wrongVariables } = request;
  const checks = wrongVariables.map(({ message, help }) =>
    problem("variable-wrong", message.replace(/^Cannot use /, ""), help)
  );
  if (settings.synchronous === "OFF") {
    checks.push(notice(
      "synchronous-off",
      "synchronous is OFF: a power cut may damage the databases",
      "unset SQLITE_SYNCHRONOUS, for NORMAL",
    ));
  }
  const changed = Object.entries(settings)
    .filter(([name, value]) => value !== defaultSettings[name as keyof typeof settings])
    .map(([name, value]) => `${name} ${value}`);
  checks.push(ok(
    "settings",
    changed.length === 0
      ? "asked for: the defaults"
      : `asked for by variables and flags: ${changed.join(", ")}`,
  ));
  const opened = databases.find(({ content }) => content.kind === "read" && content.inForce);
  if (opened?.content.kind !== "read" || opened.content.inForce === null) {
    return [
      ...checks,
      ok("settings-unknown", "what is in force is seen where a file can be opened"),
    ];
  }
  const { inForce } = opened.content;
  const levels = ["OFF", "NORMAL", "FULL", "EXTRA"];
  const isAsked = inForce.foreignKeys && levels[inForce.synchronous] === settings.synchronous &&
    inForce.cacheSize === settings.cacheSize && inForce.busyTimeout === settings.busyTimeout;
  const words = `in force on ${opened.path}: synchronous ${levels[inForce.synchronous]}, cache ` +
    `${inForce.cacheSize}, foreign keys ${inForce.foreignKeys ? "on" : "off"}, busy timeout ` +
    `${inForce.busyTimeout} s, wal_autocheckpoint ${inForce.walAutocheckpoint}, mmap ` +
    formatBytes(inForce.mmapSize) +
    (inForce.mmapSize < settings.mmapSize
      ? ` of ${formatBytes(settings.mmapSize)}, as this SQLite was built`
      : "");
  return [
    ...checks,
    isAsked
      ? ok("settings-in-force", words)
      : notice("settings-in-force", words, "this SQLite doesn't take all that is asked for"),
  ];
}

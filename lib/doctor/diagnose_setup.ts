/**
 * Checks of the program itself: its version, permissions, paths and settings.
 *
 * @module
 */
import { formatBytes, formatCount, shellWord } from "../base/format.ts";
import { isOlder, oldestDeno, version } from "../base/version.ts";
import { defaultSettings } from "../database/connection.ts";
import { type Check, checksOf, type Facts, ownerIn } from "./facts.ts";
import { lockProblems } from "./locks.ts";

/** First version of SQLite in which two concurrent checkpoints can't damage a WAL database. */
const SOUND_SQLITE = "3.51.3";

/** Checks of the program, its permissions, the paths and the settings. */
export function diagnoseSetup(facts: Facts): Check[] {
  return [
    ...versionChecks(facts),
    ...permissionChecks(facts),
    ...pathChecks(facts),
    ...backupsChecks(facts),
    ...lockProblems(facts),
    ...settingChecks(facts),
  ];
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
        `Deno ${deno} is older than ${oldestDeno}, the oldest supported version`,
        "update it: deno upgrade",
      )
      : ok("deno", `Deno ${deno}`),
    isOlder(sqlite, SOUND_SQLITE)
      ? notice(
        "sqlite-old",
        `SQLite ${sqlite} has a bug that may, very rarely, damage a WAL database when ` +
          `two programs checkpoint at once; it is fixed in ${SOUND_SQLITE}`,
        isStandalone
          ? "use a newer executable"
          : "update Deno, which includes SQLite: deno upgrade",
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
  const { hiddenVariables } = request;
  const missing = [
    ...directory.mayRead
      ? []
      : [[`read ${directory.path}`, `--allow-read=${path},catalyst.json,catalyst.jsonc`]],
    ...directory.mayWrite ? [] : [[`write ${directory.path}`, `--allow-write=${path}`]],
    ...hiddenVariables.length === 0 ? [] : [
      [`read the variables ${hiddenVariables.join(", ")}`, `--allow-env=${hiddenVariables}`],
    ],
  ];
  const checks = missing.length > 0
    ? [problem(
      "permission-missing",
      `Deno has no permission to: ${missing.map(([what]) => what).join(", ")}`,
      `run it with ${missing.map(([, flag]) => flag).join(" ")}`,
    )]
    : [ok(
      "permissions",
      `Deno may read and write ${directory.path} and read the required variables`,
    )];
  if (!system.isAllPermitted) {
    return [
      ...checks,
      notice(
        "permissions-narrow",
        "without all permissions `doctor` can't determine which programs have the databases open, how much " +
          "space is free, and whether the file system is suitable",
        system.isStandalone
          ? "for the full diagnosis: deno run -A jsr:@catalyst/migrate doctor"
          : "for `doctor` alone, run it with -A; it changes nothing",
      ),
    ];
  }
  return [
    ...checks,
    ok(
      "permissions-spare",
      `it has unneeded permissions: ${system.spare.join(", ")}; only \`doctor\` uses them`,
    ),
  ];
}

function pathChecks({ request, directory, workingDirectory }: Facts): Check[] {
  const { ok, notice, problem } = checksOf("paths");
  const { prefix, prefixFrom, variable } = request;
  const why = {
    flag: "from --data-dir",
    variable: "from DB_PATH_PREFIX",
    default: "by default",
  }[prefixFrom];
  const checks = [
    ok(
      "paths",
      `the databases are ${prefix}NAME.db, ${why}` +
        (workingDirectory === null ? "" : `, relative to ${workingDirectory}`),
    ),
  ];
  if (prefixFrom === "flag" && variable) {
    checks.push(
      ok("variable-unused", `DB_PATH_PREFIX=${variable} is not used: --data-dir overrides it`),
    );
  }
  const create = `create it first: mkdir -p ${shellWord(directory.path)}`;
  switch (directory.state) {
    case "missing":
      checks.push(
        prefixFrom !== "variable" && directory.hasParent !== false
          ? notice(
            "directory-missing",
            `${directory.path} does not exist yet`,
            "`upgrade` creates it",
          )
          : problem(
            "directory-missing",
            `${directory.path} does not exist`,
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
          `${directory.path} can't be read: ${directory.reason}`,
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
          "let this user write there: SQLite keeps files next to each database",
        ));
      } else checks.push(ok("directory", directory.realPath ?? directory.path));
    }
  }
  return checks;
}

/** Whether snapshots can be taken; `upgrade` takes one if rows are at stake. */
function backupsChecks({ backups, backupsDirectory }: Facts): Check[] {
  const { problem } = checksOf("paths");
  const { state, info, isWritable, mount } = backupsDirectory;
  if (state === "file") {
    return [problem(
      "backups-unwritable",
      `${backups} is a file, but the snapshots need a directory`,
      "move it away",
    )];
  }
  // A read-only file system was reported above.
  if (state !== "directory" || isWritable !== false || mount?.readOnly) return [];
  return [problem(
    "backups-unwritable",
    `this user may not create files in ${backups}, the directory of the snapshots` +
      (info === null ? "" : ownerIn(info)),
    "let this user write there, or run this as its owner",
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
      "unset SQLITE_SYNCHRONOUS to use NORMAL",
    ));
  }
  const changed = Object.entries(settings)
    .filter(([name, value]) => value !== defaultSettings[name as keyof typeof settings])
    .map(([name, value]) => `${name} ${value}`);
  checks.push(ok(
    "settings",
    changed.length === 0
      ? "requested: the defaults"
      : `requested by variables and flags: ${changed.join(", ")}`,
  ));
  const opened = databases.find(({ content }) => content.kind === "read" && content.inForce);
  if (opened?.content.kind !== "read" || opened.content.inForce === null) {
    return [
      ...checks,
      ok("settings-unknown", "the effective settings are unknown until a file can be opened"),
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
      ? ` of ${formatBytes(settings.mmapSize)}, the limit of this SQLite build`
      : "");
  return [
    ...checks,
    isAsked
      ? ok("settings-in-force", words)
      : notice("settings-in-force", words, "this SQLite does not support all requested settings"),
  ];
}

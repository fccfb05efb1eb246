import { formatBytes, formatCount, formatDate } from "../base/format.ts";
import { isOlder, version } from "../base/version.ts";
import { describeUncovered } from "../state/uncovered_files.ts";
import { diagnoseDatabase, mayBeLost, unreadChecks } from "./diagnose_database.ts";
import { diagnoseSetup } from "./diagnose_setup.ts";
import { type Check, checksOf, type Facts, groups, processes } from "./facts.ts";
import { diagnoseLeftovers } from "./find_leftovers.ts";

/** Turns facts into checks, in the order of the groups. */
export function diagnose(facts: Facts): Check[] {
  const checks = [
    ...diagnoseSetup(facts),
    ...facts.databases.flatMap((one) => diagnoseDatabase(one, facts)),
    ...unreadChecks(facts),
    ...uncoveredChecks(facts),
    ...processChecks(facts),
    ...migrationChecks(facts),
    ...diagnoseLeftovers(facts),
    ...diskChecks(facts),
    ...clockChecks(facts),
  ];
  return groups.flatMap((group) => checks.filter((check) => check.group === group));
}

/** Code of the check that lists files that no command uses. */
export const UNCOVERED = "uncovered-files";

function uncoveredChecks({ uncovered, request: { hasConfiguration } }: Facts): Check[] {
  if (uncovered.length === 0) return [];
  const { detail, help } = describeUncovered(uncovered, { hasConfiguration });
  return [checksOf("databases").notice(UNCOVERED, detail, help)];
}

/**
 * Every correct clock is later: the oldest supported Deno was released in 2026. Unix epoch seconds.
 */
const EARLIEST = Date.UTC(2026, 0) / 1000;

/** Seconds by which clocks may differ. */
const TOLERANCE = 60;

/** Which processes have the databases open. */
function processChecks({ openers, databases, blockers }: Facts): Check[] {
  const { ok, notice } = checksOf("processes");
  if (openers === null) {
    return [
      ok("openers-unknown", "which programs have the databases open cannot be determined here"),
    ];
  }
  const checks = databases.flatMap(({ name, path, place, lockers }) => {
    const of = checksOf("processes", name);
    const real = place.kind === "file" ? place.realPath : null;
    const having = openers.openers.filter((one) => one.what === "file" && one.path === real);
    const all = [...having, ...lockers.filter(({ pid }) => having.every((one) => one.pid !== pid))];
    const isOf = (one: string) =>
      one === real || (real === null && one.endsWith(`/${fileOf(path)}`));
    const lost = openers.openers.filter((one) => isOf(one.path));
    const gone = lost.filter(({ what }) => what === "deleted");
    const moved = lost.filter(({ what }) => what === "moved");
    const writers = blockers.get(name) ?? [];
    return [
      ...all.length === 0 ? [] : [of.ok("open", `open in ${processes(all)}`)],
      ...writers.length === 0 ? [] : [of.notice(
        "write-locked",
        `${processes(writers)} is blocking other writers`,
        "let it finish; if it still blocks them a minute later, stop it",
      )],
      ...gone.length === 0 ? [] : [of.problem(
        "deleted-file-open",
        `${processes(gone)} has a deleted or replaced file of this name open; what it ` +
          "writes is lost",
        "stop that program and start it again",
      )],
      ...moved.length === 0 ? [] : [of.problem(
        "moved-file-open",
        `${processes(moved)} has its log open, with a database file that was moved or ` +
          `deleted: what it writes does not reach ${path}`,
        `stop that program; if ${
          real ?? path
        }-wal exists afterwards, it belongs to the moved file: ` +
          "move it next to that file, with the matching name, before anything opens the database",
      )],
    ];
  });
  if (openers.isPartial) {
    checks.push(notice(
      "openers-partial",
      "the open files of other users' programs can't be read",
      "run `doctor` as root, or as the user that the bot runs as",
    ));
  }
  const isOpen = checks.some(({ code }) => code !== "openers-partial");
  if (isOpen || openers.isPartial) return checks;
  return [
    ok(
      "open-by-nobody",
      openers.isContained
        ? "no other program in this container has the databases open; programs outside it can't be seen"
        : "no other program has the databases open",
    ),
    ...checks,
  ];
}

function fileOf(path: string): string {
  return path.replace(/^.*\//, "");
}

/** Checks of the migrations and the ledger. */
function migrationChecks(facts: Facts): Check[] {
  const { state, own, request } = facts;
  const { ok, notice, problem } = checksOf("migrations");
  const { status, failures } = state;
  const checks: Check[] = failures.map(({ message, help, database }) =>
    checksOf("migrations", database).problem("state-unreadable", message, help)
  );
  for (const { message, help } of own.failures) {
    checks.push(problem("migration-file", message, help));
  }
  if (own.misnamed !== null) {
    checks.push(notice("migration-misnamed", own.misnamed, "rename the files that are migrations"));
  }
  checks.push(ok(
    "own-migrations",
    own.directory === null
      ? "no directory of your own migrations is configured or found"
      : `${formatCount(own.migrations.length, "migration")} found in ${own.directory}`,
  ));
  if (status === null) return checks;
  const named = (wanted: string) =>
    status.migrations.filter(({ state, name }) =>
      state === wanted && !(wanted === "missing" && own.unusable.includes(name))
    ).map(({ name }) => name);
  const [failed, changed, missing] = [named("failed"), named("changed"), named("missing")];
  if (failed.length > 0) {
    checks.push(problem(
      "migration-failed",
      `${failed.join(", ")} failed at the last attempt`,
      "`history` says why; fix the cause, then run `upgrade`",
    ));
  }
  if (changed.length > 0) {
    checks.push(problem(
      "migration-changed",
      `${changed.join(", ")} has changed since it was applied`,
      "`upgrade` shows the difference; `repair --accept-changed ID` accepts it",
    ));
  }
  if (missing.length > 0) {
    checks.push(problem(
      "migration-unknown",
      `${missing.join(", ")} was applied, but is unknown here`,
      "a newer catalyst-migrate wrote it, or its file is missing: update this one, or restore the file",
    ));
  }
  for (const conflict of status.conflicts) {
    checks.push(
      problem("schema-conflict", conflict.description, "`upgrade` says how to keep the table"),
    );
  }
  // For a database that may be lost, another check says what to do first.
  const gone = facts.databases.filter((one) => mayBeLost(one, state)).map(({ name }) => name);
  const lost = new Set(
    status.migrations.filter(({ database }) => gone.includes(database)).map(({ name }) => name),
  );
  const names = [...named("pending"), ...named("rolled_back")].filter((name) => !lost.has(name));
  if (names.length > 0) {
    checks.push(
      notice("migrations-pending", `pending: ${names.join(", ")}`, "`upgrade` applies them"),
    );
  }
  if (status.adoptable.length > 0) {
    const ids = status.adoptable.join(", ");
    checks.push(notice("adoptable", `${ids} found by the tables`, "`upgrade` adopts them"));
  }
  const wrong = status.migrations.filter(({ id, name }) =>
    status.unreconciled.includes(id) && !lost.has(name)
  );
  // While a migrator is running, the ledger is about to be corrected. An unread ledger proves
  // nothing.
  if (wrong.length > 0 && state.isLedgerRead && !facts.isMigrating) {
    const ids = wrong.map(({ id }) => id).join(", ");
    checks.push(
      notice(
        "unreconciled",
        `the ledger disagrees with the databases about ${ids}`,
        "`upgrade` corrects it",
      ),
    );
  }
  const newer = state.events.find(({ toolkitVersion }) => isOlder(version, toolkitVersion));
  if (newer !== undefined) {
    checks.push(notice(
      "newer-toolkit",
      `catalyst-migrate ${newer.toolkitVersion} was used here, but this is ${version}`,
      "use the newer one",
    ));
  }
  const isWhole = status.databases.length === Object.keys(request.databases).length;
  if (isWhole && status.migrations.every((one) => one.state === "applied")) {
    checks.push(
      ok("migrations-applied", `all ${formatCount(status.migrations.length, "migration")} applied`),
    );
  }
  return checks;
}

/** Network file systems, or those shared by machines: locks and shared memory do not work there. */
const UNSAFE =
  /^(nfs\d?|cifs|smb\d?|smbfs|smb3|9p|afs|ceph|lustre|gfs2?|ocfs2|vboxsf|vmhgfs|prl_fs|ncpfs|fuse|fuse\..*)$/;

/** File systems whose safety depends on the underlying machine. */
const DOUBTFUL = /^(virtiofs|fakeowner|drvfs)$/;

const CLOUD =
  /[/\\](Dropbox|OneDrive[^/\\]*|Google ?Drive[^/\\]*|iCloud ?Drive|Mobile Documents|CloudStorage|Nextcloud|ownCloud|pCloud ?Drive|MEGA)(?=[/\\])/i;

/** Whether the disk is suitable for databases. */
function diskChecks({ directory, databases, workingDirectory }: Facts): Check[] {
  const { ok, notice, problem } = checksOf("disk");
  const checks: Check[] = [];
  const mounts = new Map(
    [directory.mount, ...databases.map(({ mount }) => mount)]
      .flatMap((mount) => mount === null ? [] : [[mount.point, mount]]),
  );
  for (const { point, type, source } of mounts.values()) {
    const where = `the file system at ${point} is ${type} (${source})`;
    if (UNSAFE.test(type)) {
      checks.push(problem(
        "file-system-unsafe",
        `${where}: locks and WAL don't work reliably there, and databases get damaged`,
        "move the databases to a local disk: --data-dir, or DB_PATH_PREFIX",
      ));
    } else if (DOUBTFUL.test(type)) {
      checks.push(notice(
        "file-system-doubtful",
        `${where}: it belongs to another machine, and locks may not work`,
        "let only one machine use the databases, or keep them on a volume of this machine",
      ));
    } else if (/^(tmpfs|ramfs)$/.test(type)) {
      checks.push(notice(
        "file-system-temporary",
        `${where}: its contents are lost after a restart`,
        "to keep the data, choose a directory on a disk with --data-dir",
      ));
    } else checks.push(ok("file-system", where));
  }
  const reals = databases.map(({ place }) => place.kind === "file" ? place.realPath : "");
  const path = directory.realPath ?? `${workingDirectory ?? ""}/${directory.path}`;
  const cloud = [`${path}/`, ...reals].map((one) => CLOUD.exec(one)?.[1]).find(Boolean);
  if (cloud !== undefined) {
    checks.push(notice(
      "cloud-folder",
      `the databases are in a folder that ${cloud} seems to synchronize, which may copy them half written`,
      "move them elsewhere, and keep only snapshots there: `backup --out DIR`",
    ));
  }
  if (/^[/\\]{2}[^/\\]/.test(path) && directory.mount === null) {
    checks.push(notice(
      "file-system-remote",
      `${path} is on another machine`,
      "move the databases to a local disk: WAL doesn't work over a network",
    ));
  }
  const needed = databases.reduce(
    (sum, { place, logBytes }) =>
      place.kind === "file" ? sum + place.info.size + (logBytes ?? 0) : sum,
    0,
  );
  if (directory.room !== null) {
    const free = `${formatBytes(directory.room)} is free, and a snapshot needs ${
      formatBytes(needed)
    }`;
    checks.push(
      directory.room < needed
        ? problem(
          "room-missing",
          free,
          "free some space, or keep snapshots elsewhere: `backup --out DIR`",
        )
        : directory.room < 3 * needed
        ? notice("room-little", free, "`rehearse` and `import` need twice as much; free some space")
        : ok("room", free),
    );
  }
  return checks.length > 0 ? checks : [ok("disk-unknown", "the disk cannot be checked here")];
}

/** Whether the clock agrees with the recorded dates. */
function clockChecks({ now, state, snapshots }: Facts): Check[] {
  const { ok, notice, problem } = checksOf("clock");
  const help = "correct the clock of this machine, preferably with NTP";
  const time = `${formatDate(now)} (UTC)`;
  if (now < EARLIEST) {
    return [problem("clock-wrong", `the clock says ${time}, which is impossible`, help)];
  }
  const moments = [
    ...state.events.map(({ name, startedAt }) => ({
      what: `${name} in the ledger`,
      at: startedAt,
    })),
    ...[...state.markers].flatMap(([database, markers]) =>
      markers.map(({ name, appliedAt }) => ({ what: `${name} in ${database}`, at: appliedAt }))
    ),
    ...snapshots.flatMap(({ name, manifest }) =>
      manifest === null ? [] : [{ what: `snapshot ${name}`, at: manifest.createdAt }]
    ),
  ];
  const later = moments.filter(({ at }) => at > now + TOLERANCE).toSorted((a, b) => b.at - a.at);
  const checks: Check[] = [];
  const [latest] = later;
  if (latest !== undefined) {
    checks.push(problem(
      "clock-behind",
      `the clock says ${time}, but ${latest.what} is dated ${formatDate(latest.at)}` +
        (later.length > 1 ? `, and ${later.length - 1} more are in the future` : ""),
      `if the clock is wrong, ${help}; if it was wrong then, dates are misleading until ` +
        "that day, which is otherwise harmless",
    ));
  }
  // Newest first, so no event should be older than the next one in the list.
  const back = state.events.find(({ startedAt }, index) =>
    startedAt < (state.events[index + 1]?.startedAt ?? -Infinity) - TOLERANCE
  );
  if (back !== undefined) {
    checks.push(notice(
      "events-out-of-order",
      `in the ledger ${back.name} of ${
        formatDate(back.startedAt)
      } follows an event with a later date`,
      "the clock was set back; `history` lists events in the order in which they were written",
    ));
  }
  if (checks.length > 0) return checks;
  return [
    ok("clock", moments.length === 0 ? time : `${time}; no record lies in the future`),
  ];
}

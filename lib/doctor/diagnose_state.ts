import { formatBytes, formatCount, formatDate } from "../base/format.ts";
import { isOlder, version } from "../base/version.ts";
import { type Check, checksOf, mayBeLost, processes } from "./diagnose_database.ts";
import type { Facts } from "./gather.ts";

/** Every clock that is right is later: the oldest supported Deno is of 2026. Unix epoch seconds. */
const EARLIEST = Date.UTC(2026, 0) / 1000;

/** Seconds by which clocks may differ. */
const TOLERANCE = 60;

/** Who has the databases open. */
export function processChecks({ openers, databases, blockers }: Facts): Check[] {
  const { ok, notice } = checksOf("processes");
  if (openers === null) {
    return [ok("openers-unknown", "who has the databases open can't be told here")];
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
        `at this moment ${processes(writers)} keeps others from writing`,
        "let it finish; if it is still so a minute later, stop it",
      )],
      ...gone.length === 0 ? [] : [of.problem(
        "deleted-file-open",
        `${processes(gone)} has a file of this name open that was deleted or replaced; what it ` +
          "writes is lost",
        "stop that program and start it again",
      )],
      ...moved.length === 0 ? [] : [of.problem(
        "moved-file-open",
        `${processes(moved)} has its log open, and as the database a file that was moved away or ` +
          `deleted: what it writes doesn't get into ${path}`,
        `stop that program; if ${
          real ?? path
        }-wal is there afterwards, it is that file's: move it ` +
          "beside that one, under its name, before anything opens the database",
      )],
    ];
  });
  if (openers.isPartial) {
    checks.push(notice(
      "openers-partial",
      "the open files of other users' programs can't be looked at",
      "run `doctor` as root, or as the user that the bot runs as",
    ));
  }
  const isOpen = checks.some(({ code }) => code !== "openers-partial");
  if (isOpen || openers.isPartial) return checks;
  return [
    ok(
      "open-by-nobody",
      openers.isContained
        ? "no other program in this container has the databases open; those outside of it can't be seen"
        : "no other program has the databases open",
    ),
    ...checks,
  ];
}

function fileOf(path: string): string {
  return path.replace(/^.*\//, "");
}

/** What the migrations and the ledger say. */
export function migrationChecks(facts: Facts): Check[] {
  const { state, own, request } = facts;
  const { ok, notice, problem } = checksOf("migrations");
  const { status, failures } = state;
  const checks: Check[] = failures.map(({ message, help, database }) =>
    checksOf("migrations", database).problem("state-unreadable", message, help)
  );
  for (const { message, help } of own.failures) {
    checks.push(problem("migration-file", message, help));
  }
  checks.push(ok(
    "own-migrations",
    own.directory === null
      ? "no directory of migrations of your own is named or found"
      : `${formatCount(own.migrations.length, "migration")} of your own in ${own.directory}`,
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
      `${failed.join(", ")} failed when tried last`,
      "`history` says why; mend the cause, then run `upgrade`",
    ));
  }
  if (changed.length > 0) {
    checks.push(problem(
      "migration-changed",
      `${changed.join(", ")} is not what was applied`,
      "`upgrade` shows the difference; `repair --accept-changed ID` takes it over",
    ));
  }
  if (missing.length > 0) {
    checks.push(problem(
      "migration-unknown",
      `${missing.join(", ")} was applied, and is not known here`,
      "a newer catalyst-migrate wrote it, or its file is gone: update this one, or put the file back",
    ));
  }
  for (const conflict of status.conflicts) {
    checks.push(problem("schema-conflict", conflict, "rename your table, or add what is missing"));
  }
  // Of a database that may be lost it is said what to do first.
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
  // While a migrator is at work, the ledger is about to be right; of one that was not read all is wrong.
  if (wrong.length > 0 && state.isLedgerRead && !facts.isMigrating) {
    const ids = wrong.map(({ id }) => id).join(", ");
    checks.push(
      notice("unreconciled", `the ledger is wrong about ${ids}`, "`upgrade` corrects it"),
    );
  }
  const newer = state.events.find(({ toolkitVersion }) => isOlder(version, toolkitVersion));
  if (newer !== undefined) {
    checks.push(notice(
      "newer-toolkit",
      `catalyst-migrate ${newer.toolkitVersion} was used here, and this is ${version}`,
      "use the newer one",
    ));
  }
  const isWhole = status.databases.length === request.databases.length;
  if (isWhole && status.migrations.every((one) => one.state === "applied")) {
    checks.push(
      ok("migrations-applied", `all ${formatCount(status.migrations.length, "migration")} applied`),
    );
  }
  return checks;
}

/** File systems over a network, or shared by machines: locks and shared memory don't work there. */
const UNSAFE =
  /^(nfs\d?|cifs|smb\d?|smbfs|smb3|9p|afs|ceph|lustre|gfs2?|ocfs2|vboxsf|vmhgfs|prl_fs|ncpfs|fuse|fuse\..*)$/;

/** Those of which it depends on the machine below. */
const DOUBTFUL = /^(virtiofs|fakeowner|drvfs)$/;

const CLOUD =
  /[/\\](Dropbox|OneDrive[^/\\]*|Google ?Drive[^/\\]*|iCloud ?Drive|Mobile Documents|CloudStorage|Nextcloud|ownCloud|pCloud ?Drive|MEGA)(?=[/\\])/i;

/** Whether the disk is fit for databases. */
export function diskChecks({ directory, databases, workingDirectory }: Facts): Check[] {
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
        `${where}: it is another machine's, and locks may not work there`,
        "let only one machine use the databases, or keep them in a volume of this one",
      ));
    } else if (/^(tmpfs|ramfs)$/.test(type)) {
      checks.push(notice(
        "file-system-temporary",
        `${where}: what is there is gone after a restart`,
        "for data to keep, name a directory on a disk with --data-dir",
      ));
    } else checks.push(ok("file-system", where));
  }
  const reals = databases.map(({ place }) => place.kind === "file" ? place.realPath : "");
  const path = directory.realPath ?? `${workingDirectory ?? ""}/${directory.path}`;
  const cloud = [`${path}/`, ...reals].map((one) => CLOUD.exec(one)?.[1]).find(Boolean);
  if (cloud !== undefined) {
    checks.push(notice(
      "cloud-folder",
      `the databases are in a folder that ${cloud} seems to synchronize, which copies them half written`,
      "keep them elsewhere, and only snapshots there: `backup --out DIR`",
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
    const free = `${formatBytes(directory.room)} are free, and a snapshot needs ${
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
  return checks.length > 0 ? checks : [ok("disk-unknown", "nothing can be told of the disk here")];
}

/** Whether the clock agrees with what was recorded. */
export function clockChecks({ now, state, snapshots }: Facts): Check[] {
  const { ok, notice, problem } = checksOf("clock");
  const help = "correct the clock of this machine, best by NTP";
  const time = `${formatDate(now)} (UTC)`;
  if (now < EARLIEST) {
    return [problem("clock-wrong", `the clock says ${time}, which can't be`, help)];
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
      `the clock says ${time}, and ${latest.what} is of ${formatDate(latest.at)}` +
        (later.length > 1 ? `, and ${later.length - 1} more are of later` : ""),
      `if the clock is wrong, ${help}; if it was wrong then, the order of dates misleads until ` +
        "that day, and nothing else is wrong",
    ));
  }
  // Newest first, so that each should not be older than the one behind it.
  const back = state.events.find(({ startedAt }, index) =>
    startedAt < (state.events[index + 1]?.startedAt ?? -Infinity) - TOLERANCE
  );
  if (back !== undefined) {
    checks.push(notice(
      "events-out-of-order",
      `in the ledger ${back.name} of ${formatDate(back.startedAt)} comes after an event of later`,
      "the clock went backwards then; `history` lists events in the order in which they were written",
    ));
  }
  if (checks.length > 0) return checks;
  return [
    ok("clock", moments.length === 0 ? time : `${time}; nothing in the databases is of later`),
  ];
}

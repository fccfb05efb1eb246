import assert from "node:assert/strict";
import { catalystDatabases } from "../../../lib/catalyst.ts";
import { defaultSettings } from "../../../lib/database/connection.ts";
import { diagnose } from "../../../lib/doctor/diagnose.ts";
import type { Check, Facts } from "../../../lib/doctor/facts.ts";
import { gather } from "../../../lib/doctor/gather.ts";
import { MARKER_TABLE } from "../../../lib/migration/migration.ts";
import type { Mount } from "../../../lib/doctor/linux.ts";
import { bundledMigrations } from "../../../migrations/mod.ts";
import { createBot, execute, TemporaryDirectory } from "../support.ts";

/** Facts of a bot's databases without problems. */
async function soundFacts(): Promise<Facts> {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  return await factsOf(directory);
}

async function factsOf(directory: TemporaryDirectory): Promise<Facts> {
  return await gather({
    prefix: `${directory.path}/`,
    prefixFrom: "flag",
    variable: undefined,
    settings: defaultSettings,
    wrongVariables: [],
    hiddenVariables: [],
    migrationsDir: null,
    databases: Object.fromEntries(
      catalystDatabases.map((name) => [name, `${directory.path}/${name}.db`]),
    ),
    ledger: `${directory.path}/migrations.db`,
    backupDir: undefined,
    hasConfiguration: false,
    bundled: bundledMigrations,
  });
}

const facts = await soundFacts();

/** The check with a code, which must occur once. */
function only(changed: Facts, code: string): Check {
  const found = diagnose(changed).filter((check) => check.code === code);
  assert.equal(found.length, 1, code);
  return found[0] ?? assert.fail();
}

Deno.test("every check has a code, a sentence, and a fix for problems", () => {
  for (const { code, detail, level, help } of diagnose(facts)) {
    assert.match(code, /^[a-z]+(-[a-z]+)*$/);
    assert.notEqual(detail, "");
    if (level !== "ok") assert.notEqual(help, null, code);
  }
  assert.deepEqual(diagnose(facts).filter(({ level }) => level === "problem"), []);
});

Deno.test("an outdated Deno is a problem, a SQLite with a known bug a notice", () => {
  const system = { ...facts.system, deno: "2.7.10", sqlite: "3.50.2" };
  assert.equal(only({ ...facts, system }, "deno-too-old").level, "problem");
  assert.equal(only({ ...facts, system }, "sqlite-old").level, "notice");
  const fine = { ...facts.system, deno: "2.7.11", sqlite: "3.51.3" };
  assert.equal(only({ ...facts, system: fine }, "deno").level, "ok");
  assert.equal(only({ ...facts, system: fine }, "sqlite").level, "ok");
});

function on(type: string): Facts {
  const mount: Mount = { point: "/bot", type, source: "somewhere", readOnly: false };
  return {
    ...facts,
    directory: { ...facts.directory, mount },
    databases: facts.databases.map((one) => ({ ...one, mount })),
  };
}

Deno.test("network file systems and FUSE are problems", () => {
  const types = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "9p",
    "fuse.sshfs",
    "fuse.rclone",
    "vboxsf",
    "ceph",
  ];
  for (const type of types) {
    const { level, detail } = only(on(type), "file-system-unsafe");
    assert.equal(level, "problem");
    assert(detail.includes(`/bot is ${type} (somewhere)`));
  }
});

Deno.test("local file systems are fine; one in memory, or of the host, is a notice", () => {
  for (const type of ["ext4", "xfs", "btrfs", "zfs", "overlay", "fuseblk", "apfs", "ntfs3"]) {
    assert.equal(only(on(type), "file-system").level, "ok", type);
  }
  assert.equal(only(on("tmpfs"), "file-system-temporary").level, "notice");
  assert.equal(only(on("virtiofs"), "file-system-doubtful").level, "notice");
});

Deno.test("free space is compared with the needs of a snapshot", () => {
  const needed = facts.databases.reduce(
    (sum, { place }) => sum + (place.kind === "file" ? place.info.size : 0),
    0,
  );
  const withRoom = (room: number | null) => ({
    ...facts,
    directory: { ...facts.directory, room },
  });
  assert.equal(only(withRoom(needed - 1), "room-missing").level, "problem");
  assert.equal(only(withRoom(needed), "room-little").level, "notice");
  assert.equal(only(withRoom(3 * needed), "room").level, "ok");
  assert(diagnose(withRoom(null)).every(({ code }) => !code.startsWith("room")));
});

Deno.test("an impossible clock is a problem", () => {
  const { level, detail } = only({ ...facts, now: 0 }, "clock-wrong");
  assert.equal(level, "problem");
  assert.match(detail, /1970-01-01 00:00:00/);
});

Deno.test("a clock that is behind recorded dates is a problem", () => {
  const { level, detail } = only({ ...facts, now: facts.now - 86_400 }, "clock-behind");
  assert.equal(level, "problem");
  assert.match(detail, /and \d+ more are in the future/);
  const fine = { ...facts, now: facts.now - 30 };
  assert.equal(only(fine, "clock").level, "ok");
});

Deno.test("for a missing permission the command line that grants it is shown", () => {
  const { help, level } = only({
    ...facts,
    request: { ...facts.request, hiddenVariables: ["DB_PATH_PREFIX"] },
    directory: { ...facts.directory, path: "my data", mayRead: false, mayWrite: false },
  }, "permission-missing");
  assert.equal(level, "problem");
  assert.equal(
    help,
    "run it with --allow-read='my data',catalyst.json,catalyst.jsonc --allow-write='my data' --allow-env=DB_PATH_PREFIX",
  );
});

Deno.test("a standalone executable gets advice for itself, not for Deno", () => {
  const system = { ...facts.system, isStandalone: true, isAllPermitted: false, sqlite: "3.50.2" };
  assert.match(only({ ...facts, system }, "sqlite-old").help ?? "", /newer executable/);
  assert.match(only({ ...facts, system }, "permissions-narrow").help ?? "", /deno run -A jsr:/);
});

Deno.test("a database that is written continuously is not reported as damaged", () => {
  const failure = { code: "DATABASE_CORRUPT", message: "malformed", help: null };
  const withFirst = (isChanging: boolean) => ({
    ...facts,
    databases: facts.databases.map((one, index) =>
      index === 0 ? { ...one, content: { kind: "failed" as const, failure }, isChanging } : one
    ),
  });
  assert.equal(only(withFirst(true), "database-busy").level, "notice");
  assert.equal(only(withFirst(false), "database-damaged").level, "problem");
});

Deno.test("a database that changes during the examination is examined again", async () => {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  const path = directory.file("trading.db");
  const { statSync } = Deno;
  let calls = 0;
  // A bot writes to it during the first examination of its files.
  Deno.statSync = (asked) => {
    if (asked === directory.file("trading.db-journal") && ++calls === 1) {
      execute(path, `UPDATE ${MARKER_TABLE} SET applied_at = 900`);
    }
    return statSync(asked);
  };
  try {
    const { databases, state } = await factsOf(directory);
    assert(calls > 1);
    assert.deepEqual(databases.filter(({ isChanging }) => isChanging), []);
    assert.equal(state.markers.get("trading")?.[0]?.appliedAt, 900);
  } finally {
    Deno.statSync = statSync;
  }
});

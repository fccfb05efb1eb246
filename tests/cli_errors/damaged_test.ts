import assert from "node:assert/strict";
import { join } from "node:path";
import { expectFailure, prepare, run } from "../cli_helpers.ts";
import { execute, tempDir } from "../helpers.ts";
import { openSnapshots } from "../snapshot.ts";

const snapshots = openSnapshots("damaged");
const commands = ["upgrade", "downgrade --yes", "verify", "verify --data", "repair"];

interface Damage {
  readonly code: string;
  readonly file?: "positions.db" | "migrations.db";
  /** Damages the bytes of a valid file with pages of 4096 bytes. */
  readonly damage: (bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>;
}

const text = (words: string) => () => new TextEncoder().encode(words);
/** Pseudo-random bytes, the same in every run. */
const noise = (length: number) =>
  Uint8Array.from({ length }, (_, index) => (Math.sin(index + 1) * 1e6) & 0xff);

const damages: Readonly<Record<string, Damage>> = {
  "not a database": { code: "NOT_A_DATABASE", damage: text("hello\n".repeat(200)) },
  "a short text": { code: "NOT_A_DATABASE", damage: text("hello\n") },
  "as good as random, as if encrypted": {
    code: "NOT_A_DATABASE",
    damage: ({ length }) => noise(length),
  },
  "cut at half": {
    code: "DATABASE_CORRUPT",
    damage: (bytes) => bytes.subarray(0, Math.floor(bytes.length / 2 / 4096) * 4096),
  },
  "cut by a page": { code: "DATABASE_CORRUPT", damage: (bytes) => bytes.subarray(0, -4096) },
  "cut to its first bytes": { code: "DATABASE_CORRUPT", damage: (bytes) => bytes.subarray(0, 50) },
  "without its schema page": {
    code: "DATABASE_CORRUPT",
    damage: (bytes) => {
      bytes.set(noise(4096 - 100), 100);
      return bytes;
    },
  },
  "a ledger that is not a database": {
    code: "NOT_A_DATABASE",
    file: "migrations.db",
    damage: ({ length }) => noise(length),
  },
  "a ledger cut by a page": {
    code: "DATABASE_CORRUPT",
    file: "migrations.db",
    damage: (bytes) => bytes.subarray(0, -4096),
  },
};

for (const [name, { code, file = "positions.db", damage }] of Object.entries(damages)) {
  Deno.test(`a damaged file is named and left unchanged: ${name}`, async () => {
    await using directory = await tempDir();
    const cwd = directory.path;
    await prepare(["upgrade"], { cwd });
    const path = join(cwd, "data", file);
    await Deno.writeFile(path, await damage(await Deno.readFile(path)));
    await expectFailure({ args: ["upgrade"], cwd, code, snapshot: snapshots(name) });
    await expectFailure({ args: ["downgrade", "--yes"], cwd, code });
    // It says that it cannot fix damage of any kind.
    await expectFailure({ args: ["repair"], cwd, code: "DATABASE_CORRUPT" });
    // The other databases are still verified; a damaged ledger is not one of them.
    for (const command of ["verify", "verify --data"]) {
      const verified = await run(command.split(" "), { cwd });
      assert.equal(verified.code, file === "migrations.db" ? 0 : 1, verified.stdout);
      assert.match(verified.stdout, /^trading \(.*\): ok$/m);
      if (file !== "migrations.db") {
        assert.match(verified.stdout, new RegExp(`problem: Cannot .*${file}: `));
      }
    }
    // The others are still reported.
    const status = await run(["status"], { cwd });
    assert.equal(status.code, 1);
    assert.match(status.stderr, new RegExp(`^warning: Cannot .*${file}`, "m"));
    assert.match(status.stdout, /003_create_ml_training_tables/);
    const others: [args: string[], isOfLedger: boolean][] = [
      [["history"], true],
      [["export", "trading", "--out", "trading.sql", "--force"], false],
      [["schema", "trading"], false],
      [["backup", "list"], false],
      [["doctor"], true],
    ];
    for (const [args, isOfLedger] of others) {
      const other = await run(args, { cwd });
      const isDoctor = args[0] === "doctor";
      const fails = isDoctor || isOfLedger && file === "migrations.db";
      assert.equal(other.code, fails ? 1 : 0, `${args}: ${other.stdout}${other.stderr}`);
      if (isDoctor) assert.match(other.stdout, /ok +.*trading/);
    }
  });
}

Deno.test("verify --data finds damage that shows only when all pages are read", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  const path = join(cwd, "data/trading.db");
  const bytes = await Deno.readFile(path);
  bytes.set(noise(4096), 5 * 4096);
  await Deno.writeFile(path, bytes);
  const { code, stdout, stderr } = await run(["verify", "--data"], { cwd });
  assert.equal(code, 1);
  assert.match(stdout + stderr, /trading[\s\S]+(fix|help): restore/);
  assert.deepEqual(await Deno.readFile(path), bytes);
});

Deno.test("beside a damaged database, verify --hash, export --all and import go on with the others", async (t) => {
  for (const what of ["pages", "header"]) {
    await t.step(what, async () => {
      await using directory = await tempDir();
      const cwd = directory.path;
      await prepare(["upgrade"], { cwd });
      const path = join(cwd, "data/trading.db");
      const bytes = await Deno.readFile(path);
      bytes.set(noise(15 * 4096), what === "pages" ? 4096 : 0);
      await Deno.writeFile(path, bytes);
      for (const options of [["--hash"], ["--data", "--hash"]]) {
        const verified = await run(["verify", ...options], { cwd });
        assert.equal(verified.code, 1);
        assert.match(verified.stdout, /^trading \(.*\): not ok$/m);
        assert.match(verified.stdout, /^ml_training \(.*\): ok/m);
      }
      for (const format of ["sql", "csv"]) {
        const args = ["export", "--all", "--format", format, "--out", format];
        const exported = await run(args, { cwd });
        assert.equal(exported.code, 1);
        assert.match(
          exported.stderr,
          /^warning: trading is left out: Cannot use data\/trading\.db: /m,
        );
        assert.match(exported.stdout, /^(sql|csv)\/ml_training\W/m);
      }
      await Deno.writeTextFile(join(cwd, "rows.sql"), "UPDATE positions SET quantity = 1;");
      const into = ["import", "rows.sql", "--database", "positions", "--into-existing"];
      await prepare(into, { cwd });
      const alone = await run(["export", "trading", "--out", "t.sql"], { cwd });
      assert.match(alone.stderr, /^error: /);
    });
  }
});

for (const command of [...commands, "status", "history"]) {
  Deno.test(`a ledger of a newer version stops ${command}`, async () => {
    await using directory = await tempDir();
    const cwd = directory.path;
    await prepare(["upgrade"], { cwd });
    execute(join(cwd, "data/migrations.db"), "PRAGMA user_version = 99");
    const snapshot = snapshots(`a newer ledger, ${command}`);
    await expectFailure({ args: command.split(" "), cwd, code: "UNKNOWN_FORMAT", snapshot });
  });
}

for (const command of ["upgrade", "downgrade --yes"]) {
  Deno.test(`a migration of a newer version stops ${command}`, async () => {
    await using directory = await tempDir();
    const cwd = directory.path;
    await prepare(["upgrade"], { cwd });
    execute(
      join(cwd, "data/trading.db"),
      `UPDATE catalyst_migrations
      SET migration_id = '017', migration_name = '017_from_the_future'`,
    );
    const snapshot = snapshots(`a newer migration, ${command}`);
    await expectFailure({ args: command.split(" "), cwd, code: "UNKNOWN_MARKER", snapshot });
  });
}

Deno.test("swapped databases are refused", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  const path = (name: string) => join(cwd, "data", name);
  await Deno.rename(path("trading.db"), path("spare.db"));
  await Deno.rename(path("positions.db"), path("trading.db"));
  await Deno.rename(path("spare.db"), path("positions.db"));
  const snapshot = snapshots("databases that were swapped");
  await expectFailure({ args: ["upgrade"], cwd, code: "UNKNOWN_MARKER", snapshot });
});

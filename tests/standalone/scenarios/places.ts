/** Locations of databases: read-only, of another user, on another disk, with unusual names. */
import assert from "node:assert/strict";
import { anotherUser, reasonForNoOtherUser, showToAll } from "../../another_user.ts";
import { filesIn } from "../../cli_helpers.ts";
import { query } from "../../helpers.ts";
import { ReadOnlyDirectory, reasonForNoMount } from "../../lib/database/read_only_directory.ts";
import { reasonForNoDisk, SmallDisk } from "../../lib/snapshot/bot.ts";
import type { Scenario } from "../scenario.ts";
import { makeBot } from "./commands.ts";

const PENDING = "-- database: trading\n-- migrate:up\nCREATE TABLE mine (a);\n";

/** Scenarios of locations. */
export const placeScenarios: readonly Scenario[] = [
  {
    name: "every reading command works on a read-only data directory and does not change it",
    commands: ["status", "history", "verify", "export", "schema", "lint", "backup", "upgrade"],
    reason: reasonForNoMount,
    async run(place) {
      await makeBot(place);
      await place.ok("backup");
      Deno.removeSync(place.file("data/migrations.lock"));
      Deno.mkdirSync(place.file("temporary"));
      using frozen = new ReadOnlyDirectory((path) => copyInto(place.file("data"), path));
      Deno.removeSync(place.file("data"), { recursive: true });
      Deno.symlinkSync(frozen.path, place.file("data"));
      const before = filesIn(frozen.path);
      const env = { TMPDIR: place.file("temporary") };
      for (
        const command of [
          ...["status", "status --check", "history", "verify --data --hash", "upgrade", "lint"],
          ...["export trading", "schema trading", "backup list", "backup verify latest"],
        ]
      ) {
        // A dump contains the time of its creation.
        await place.ok(command, { env, same: !command.startsWith("export") });
      }
      place.write("migrations/004_mine.sql", PENDING);
      await place.ok("lint", { env });
      await place.ends(1, "upgrade", { env });
      await place.ends(1, "downgrade --yes", { env });
      const file = fileOf("trading", place.names("data/backups"));
      const restore = ["restore", `data/backups/${file}`, "trading", "--data-dir", "other"];
      await place.ok("upgrade --data-dir other", { env });
      await place.ok([...restore, "--yes"], { env });
      await place.ok("status --data-dir other", { env });
      assert.deepEqual(filesIn(frozen.path), before);
      assert.deepEqual(place.names("temporary"), []);
    },
  },
  {
    name:
      "another user's data can be read but not written, and the user's own directory works normally",
    commands: ["status", "upgrade", "history"],
    reason: (way) =>
      way.standalone
        ? reasonForNoOtherUser("/bin/true", "/bin/true")
        : reasonForNoOtherUser(way.command[0]),
    async run(place) {
      await makeBot(place);
      showToAll(place.path);
      // Deno needs a directory for compiled code; the executable does not, and the package's cache is filled.
      Deno.mkdirSync(place.file("cache"));
      Deno.chmodSync(place.file("cache"), 0o777);
      const env: Record<string, string> = place.isStandalone || "JSR_URL" in place.environment()
        ? {}
        : { DENO_DIR: place.file("cache") };
      const other = { through: anotherUser, env };
      const before = filesIn(place.file("data"));
      for (const command of ["status --check", "history"]) await place.ok(command, other);
      place.write("migrations/004_mine.sql", PENDING);
      await place.ends(1, "upgrade", other);
      await place.ends(1, "downgrade --yes", other);
      Deno.chmodSync(place.file("data/trading.db"), 0o600);
      await place.ends(1, "status", other);
      Deno.chmodSync(place.file("data/trading.db"), 0o644);
      assert.deepEqual(filesIn(place.file("data")), before);
      Deno.mkdirSync(place.file("own"));
      Deno.chownSync(place.file("own"), 65534, 65534);
      const own = { ...other, cwd: place.file("own") };
      for (const command of ["upgrade", "status --check", "backup", "verify"]) {
        await place.ok(command, own);
      }
    },
  },
  {
    name:
      "a data directory on another file system works normally, and data is moved from and to it",
    commands: ["upgrade", "backup", "restore", "export", "import"],
    reason: reasonForNoDisk,
    async run(place) {
      using disk = new SmallDisk(20_000);
      Deno.symlinkSync(disk.path, place.file("data"));
      await makeBot(place);
      await place.ok("backup --out snapshots");
      await place.ok("backup");
      await place.ok("restore latest --yes");
      await place.ok([
        "restore",
        `snapshots/${fileOf("trading", place.names("snapshots"))}`,
        "trading",
        "--yes",
      ]);
      await place.ok("export trading --out trading.sql", { same: false });
      await place.ok("import trading.sql --database trading --yes");
      await place.ok("verify --data");
      await place.ok("status --check");
    },
  },
  {
    name: "names with spaces, quotes and letters of any script work",
    directory: "my bot's “böt” 取引 🤖 100% #1?",
    commands: ["upgrade", "backup", "restore", "export", "import", "status"],
    async run(place) {
      const data = ["--data-dir", "dätä dir?#%41"];
      await place.ok(["upgrade", ...data]);
      place.write(
        "own ünd mehr/004_mine.js",
        'export default { database: "trading", upgrade: (t) => t.exec("CREATE TABLE mine (a)") };',
      );
      const own = ["--migrations-dir", "own ünd mehr"];
      await place.ok(["upgrade", ...data, ...own]);
      const table = query(place.file("dätä dir?#%41/trading.db"), "SELECT * FROM mine");
      assert.deepEqual(table, []);
      await place.ok(["status", ...data, ...own]);
      await place.ok(["backup", ...data, "--out", "snap shöts"]);
      const file = `snap shöts/${fileOf("trading", place.names("snap shöts"))}`;
      await place.ok(["restore", file, "trading", ...data, ...own, "--yes"]);
      const dump = ["export", "trading", ...data, "--out", "a dümp.sql"];
      await place.ok(dump, { same: false });
      await place.ok(["import", "a dümp.sql", "--database", "trading", "--yes", ...data, ...own]);
      await place.ok(["verify", ...data, ...own]);
      assert.deepEqual(place.names(), [
        "a dümp.sql",
        "dätä dir?#%41",
        "own ünd mehr",
        "snap shöts",
      ]);
    },
  },
  {
    name: "it works without a directory for temporary files",
    commands: ["upgrade", "backup", "restore", "rehearse", "export", "import"],
    async run(place) {
      await makeBot(place);
      const env = { TMPDIR: "/nonexistent", TMP: "/nonexistent", TEMP: "/nonexistent" };
      await place.ok("backup", { env });
      await place.ok("restore latest --yes", { env });
      place.write("migrations/004_mine.sql", PENDING);
      await place.ok("rehearse", { env, same: false });
      await place.ok("upgrade", { env });
      await place.ok("export trading --out trading.sql", { env, same: false });
      await place.ok("import trading.sql --database trading --yes", { env });
      await place.ok("verify --data", { env });
    },
  },
];

/** The file of a snapshot that holds a database. */
function fileOf(database: string, names: readonly string[]): string {
  return names.find((name) => name.startsWith(`${database}_`) && name.endsWith(".db")) ?? "";
}

/** Copies a directory into an existing one. */
function copyInto(from: string, to: string): void {
  for (const { name, isDirectory } of Deno.readDirSync(from)) {
    if (!isDirectory) Deno.copyFileSync(`${from}/${name}`, `${to}/${name}`);
    else {
      Deno.mkdirSync(`${to}/${name}`);
      copyInto(`${from}/${name}`, `${to}/${name}`);
    }
  }
}

/** Errors about databases that are symbolic links. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { expectFailure, prepare, run } from "../cli_helpers.ts";
import { type TempDir, tempDir } from "../helpers.ts";
import { testLinks } from "../links.ts";
import { openSnapshots } from "../snapshot.ts";

const snapshots = openSnapshots("links");

/** A bot with a snapshot and a dump, whose trading database is a link to a file outside `here`. */
async function linked(directory: TempDir): Promise<string> {
  const cwd = join(directory.path, "here");
  await Deno.mkdir(join(cwd, "migrations"), { recursive: true });
  await Deno.mkdir(join(directory.path, "disk"));
  await prepare(["upgrade"], { cwd });
  await prepare(["export", "trading", "--out", "trading.sql"], { cwd });
  await prepare(["backup"], { cwd });
  await Deno.rename(join(cwd, "data/trading.db"), join(directory.path, "disk/trading.db"));
  await Deno.symlink("../../disk/trading.db", join(cwd, "data/trading.db"));
  return cwd;
}

const restore = ["restore", "latest", "trading", "--yes"];
const importing = ["import", "trading.sql", "--database", "trading", "--yes"];

testLinks("a link to a missing disk is reported", async () => {
  await using directory = await tempDir();
  const cwd = await linked(directory);
  await Deno.rename(join(directory.path, "disk"), join(directory.path, "unplugged"));
  const code = "INVALID_LOCATION";
  const mayChange = /^data\/(migrations\.|backups\b)/;
  for (const args of [["upgrade"], restore, importing]) {
    const snapshot = snapshots(`${args[0]}: a link to nowhere`);
    await expectFailure({ args, cwd, code, mayChange, snapshot });
  }
  await Deno.rename(join(directory.path, "unplugged"), join(directory.path, "disk"));
  const { ok } = JSON.parse((await prepare(["verify", "--json"], { cwd })).stdout);
  assert(ok);
});

testLinks("a link to itself is reported", async () => {
  await using directory = await tempDir();
  const cwd = await linked(directory);
  await Deno.remove(join(cwd, "data/trading.db"));
  await Deno.symlink("trading.db", join(cwd, "data/trading.db"));
  const mayChange = /^data\/(migrations\.|backups\b)/;
  for (const args of [["status"], ["upgrade"], restore, importing]) {
    const snapshot = snapshots(`${args[0]}: a link to itself`);
    await expectFailure({ args, cwd, code: "INVALID_LOCATION", mayChange, snapshot });
  }
});

testLinks(
  "under restricted permissions a linked database works, and impossible actions are reported first",
  async () => {
    await using directory = await tempDir();
    const cwd = await linked(directory);
    const read = "--allow-read=data,migrations,trading.sql";
    const permissions = [read, "--allow-write=data", "--allow-env"];
    for (const args of [["upgrade"], ["status", "--check"], ["verify"], ["backup"], ["repair"]]) {
      await prepare(args, { cwd, permissions });
    }
    const code = "NOT_PERMITTED";
    for (const args of [restore, importing]) {
      const snapshot = snapshots(`${args[0]}: a link to where Deno may not write`);
      const mayChange = /^data\/(migrations\.|backups\b)/;
      await expectFailure({ args, cwd, permissions, code, mayChange, snapshot });
    }
    const wider = permissions.map((flag) =>
      flag.startsWith("--allow-env") ? flag : `${flag},${directory.path}/disk`
    );
    for (const args of [restore, importing]) {
      const { code, stderr } = await run(args, { cwd, permissions: wider });
      assert.equal(code, 0, stderr);
    }
  },
);

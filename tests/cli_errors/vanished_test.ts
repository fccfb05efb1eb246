import assert from "node:assert/strict";
import { join } from "node:path";
import { expectFailure, prepare, run } from "../cli_helpers.ts";
import { databaseNames, query, tempDir } from "../helpers.ts";
import { openSnapshots } from "../snapshot.ts";

const snapshots = openSnapshots("vanished");
const code = "UNKNOWN_MARKER";
/** Commands named in a help text, such as `downgrade --migration 004`. */
const commandsIn = (text: string) =>
  [...text.matchAll(/`(downgrade [^`]+)`/g)].map(([, line]) => line);

const files: Readonly<Record<string, readonly [name: string, text: string]>> = {
  "SQL with a way back": [
    "004_notes.sql",
    "-- database: trading\n-- migrate:up\nCREATE TABLE notes (a);\n-- migrate:down\nDROP TABLE notes;\n",
  ],
  "SQL without a way back": [
    "004_notes.sql",
    "-- database: trading\n-- migrate:up\nCREATE TABLE notes (a);\n",
  ],
  "functions": [
    "004_notes.js",
    `export default {
      database: "trading",
      async upgrade(transaction) { await transaction.exec("CREATE TABLE notes (a)"); },
      async downgrade(transaction) { await transaction.exec("DROP TABLE notes"); },
    };`,
  ],
};

/** A directory with the bot, a snapshot, and a fourth migration applied after it. */
async function withFourth(kind: string): Promise<
  AsyncDisposable & { readonly cwd: string; readonly file: string; readonly snapshot: string }
> {
  const directory = await tempDir();
  const cwd = directory.path;
  const [name = "", text = ""] = files[kind] ?? [];
  const file = join(cwd, "migrations", name);
  await prepare(["upgrade"], { cwd });
  const { stdout } = await prepare(["backup", "--json"], { cwd });
  await Deno.mkdir(join(cwd, "migrations"));
  await Deno.writeTextFile(file, text);
  await prepare(["upgrade"], { cwd });
  return {
    cwd,
    file,
    snapshot: JSON.parse(stdout).snapshot.name,
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}

/** Markers of all databases. */
function markersIn(cwd: string): unknown[] {
  return databaseNames.flatMap((name) =>
    query(join(cwd, `data/${name}.db`), "SELECT migration_id FROM catalyst_migrations")
      .map((row) => row["migration_id"])
  );
}

Deno.test("the command in upgrade's help rolls back the missing migration and no other", async () => {
  const kind = "SQL with a way back";
  await using place = await withFourth(kind);
  const { cwd, file } = place;
  await Deno.remove(file);
  await expectFailure({ args: ["upgrade"], cwd, code, snapshot: snapshots(`upgrade, ${kind}`) });
  const [line] = commandsIn((await run(["upgrade"], { cwd })).stderr);
  await prepare(line?.split(" ") ?? [], { cwd });
  assert.deepEqual(markersIn(cwd), ["001", "002", "003"]);
  await prepare(["status", "--check"], { cwd });
});

for (const kind of ["SQL without a way back", "functions"]) {
  Deno.test(`the help names no command that could roll back another migration: ${kind}`, async () => {
    await using place = await withFourth(kind);
    const { cwd, file, snapshot } = place;
    const text = await Deno.readTextFile(file);
    await Deno.remove(file);
    for (const line of ["upgrade", "downgrade --migration 004", "redo 4"]) {
      const result = await run(line.split(" "), { cwd });
      assert.deepEqual(commandsIn(result.stderr), [], line);
      assert.doesNotMatch(result.stderr, /did you mean|00[123]/);
      await expectFailure({
        ...{ args: line.split(" "), cwd, snapshot: snapshots(`${line}, ${kind}`) },
        code: line === "upgrade" || kind === "functions" ? code : "DOWNGRADE_BLOCKED",
      });
    }
    assert.deepEqual(markersIn(cwd), ["001", "002", "004", "003"]);
    await Deno.writeTextFile(file, text);
    await prepare(["status", "--check"], { cwd });
    await Deno.remove(file);
    await prepare(["restore", snapshot, "--yes"], { cwd });
    await prepare(["status", "--check"], { cwd });
    assert.deepEqual(markersIn(cwd), ["001", "002", "003"]);
  });
}

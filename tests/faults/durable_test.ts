/** After a command has ended, a power cut does not undo its last commit. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { databaseNames, execute, tempDir } from "../helpers.ts";
import { Interposer } from "./interposer.ts";

const modes = ["DELETE", "TRUNCATE", "PERSIST"];

Deno.test("the last commit in a file with a rollback journal is on the disk", async (t) => {
  await using workshop = await tempDir();
  const interposer = await Interposer.build(workshop.path);
  if (interposer === null) {
    // deno-lint-ignore no-console -- reports why nothing was tested
    console.log("not tested: this needs Linux and a C compiler");
    return;
  }
  for (const mode of modes) {
    for (const args of [["upgrade"], ["downgrade", "--yes"], ["redo", "003", "--yes"]]) {
      await t.step(`${mode}, ${args[0]}`, async () => {
        await using dir = await tempDir();
        const env = { SQLITE_WAL_MODE: mode };
        if (args[0] !== "upgrade") {
          const made = await interposer.run(["upgrade"], dir.path, { at: 0, action: "kill" }, env);
          assert.equal(made.code, 0, made.said);
          // The mode of a bot's file, which a setting does not change.
          for (const name of databaseNames) {
            execute(join(dir.path, "data", `${name}.db`), `PRAGMA journal_mode = ${mode}`);
          }
        }
        const { code, said, calls } = await interposer.run(
          args,
          dir.path,
          { at: 0, action: "kill" },
          env,
        );
        assert.equal(code, 0, said);
        assert.deepEqual(unsynced(calls), []);
      });
    }
  }
});

/** Database files whose last change is not followed by a sync of the file or its directory. */
function unsynced(calls: readonly string[]): string[] {
  const open = new Set<string>();
  for (const call of calls) {
    const [kind = "", path = ""] = call.split(" ");
    if (kind === "sync") {
      open.delete(`write ${path}`);
      open.delete(`truncate ${path}`);
      if (path === "data") {
        for (const one of open) if (one.startsWith("unlink ")) open.delete(one);
      }
    } else if (/\.db(-journal)?$/.test(path)) {
      if (kind === "unlink") {
        open.delete(`write ${path}`);
        open.delete(`truncate ${path}`);
      }
      open.add(`${kind} ${path}`);
    }
  }
  return [...open];
}

import assert from "node:assert/strict";
import { type CommandResult, execute, runCommandLine, TemporaryDirectory } from "../support.ts";

/** A bot whose database `cache`, which has no migrations, holds two rows. */
async function createCache(directory: TemporaryDirectory): Promise<{
  readonly cm: (...args: readonly string[]) => Promise<CommandResult>;
}> {
  execute(
    directory.file("cache.db"),
    "PRAGMA journal_mode = WAL; CREATE TABLE c (x); INSERT INTO c VALUES (1), (2)",
  );
  Deno.writeTextFileSync(
    directory.file("catalyst.json"),
    JSON.stringify({ databases: { cache: "cache.db" }, bundled: false, dataDir: "." }),
  );
  const cm = async (...args: readonly string[]) =>
    await runCommandLine(args, { cwd: directory.path });
  assert.equal((await cm("upgrade")).code, 0);
  return { cm };
}

Deno.test("commands that read a database leave an empty file empty, and no log beside it", async () => {
  using directory = new TemporaryDirectory();
  const { cm } = await createCache(directory);
  assert.equal((await cm("backup")).code, 0);
  Deno.writeTextFileSync(directory.file("cache.db"), "");
  const commands = [
    "backup",
    "backup cache",
    "status",
    "status --check",
    "verify --data --hash",
    "doctor",
    "query cache SELECT+1",
    "export cache",
    "upgrade",
    "rehearse",
  ];
  for (const command of commands) {
    await cm(...command.split(" ").map((word) => word.replace("+", " ")));
    const left = directory.listing().filter((name) => name.startsWith("cache")).join();
    assert.match(left, /^cache\.db 0 \d+$/, command);
  }
});

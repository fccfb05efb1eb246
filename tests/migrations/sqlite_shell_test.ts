import assert from "node:assert/strict";
import { bundledMigrations } from "../../migrations/mod.ts";
import { earlierThan, MemoryDatabase, sqlOf } from "./fixture.ts";
import { outputOf } from "../helpers.ts";

const missing = await whyNoShell();

for (const migration of bundledMigrations) {
  Deno.test({
    name: `${migration.name} loads in the sqlite3 shell` +
      (missing === undefined ? "" : ` (skipped: ${missing})`),
    ignore: missing !== undefined,
    fn: async () => {
      const views = `SELECT name FROM sqlite_schema WHERE type = 'view' ORDER BY rowid`;
      using db = MemoryDatabase.before(migration);
      const names = "SELECT type || ' ' || name FROM sqlite_schema ORDER BY rowid";
      const before = db.column(names);
      db.exec(sqlOf(migration, "upgrade"));
      // Reading every view shows that this version of SQLite has all their functions.
      const reads = db.column(views).map((view) => `SELECT count(*) FROM (SELECT * FROM ${view});`);
      const output = await shell([
        ".bail on",
        ...earlierThan(migration).map((one) => sqlOf(one, "upgrade")),
        "BEGIN;",
        sqlOf(migration, "upgrade"),
        "COMMIT;",
        ...reads,
        `${names};`,
        sqlOf(migration, "downgrade"),
        `${names};`,
      ]);
      assert.deepEqual(output, [
        ...reads.map(() => "0"),
        ...db.column(names),
        ...db.column(names).filter((name) =>
          before.includes(name) || name === "table sqlite_sequence"
        ),
      ]);
    },
  });
}

async function shell(lines: readonly string[]): Promise<string[]> {
  const child = new Deno.Command("sqlite3", {
    args: ["-batch", "-init", "", ":memory:"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const input = ReadableStream.from([new TextEncoder().encode(lines.join("\n") + "\n")]);
  const [{ success, stdout, stderr }] = await Promise.all([
    outputOf(child),
    input.pipeTo(child.stdin),
  ]);
  assert.ok(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout).trimEnd().split("\n");
}

/** Why the shell cannot run here; undefined if it can. */
async function whyNoShell(): Promise<string | undefined> {
  try {
    const { success } = await new Deno.Command("sqlite3", { args: ["--version"] }).output();
    return success ? undefined : "sqlite3 --version failed";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "no sqlite3 on the PATH";
    if (error instanceof Deno.errors.NotCapable) return "no permission to run sqlite3";
    throw error;
  }
}

import assert from "node:assert/strict";
import { createBot, fillBot, runCommandLine, TemporaryDirectory } from "../support.ts";

const migration = `-- database: trading
-- migrate:up
ALTER TABLE orders ADD COLUMN discord_message_id TEXT;
-- migrate:down
ALTER TABLE orders DROP COLUMN discord_message_id;
`;

/** Commands with much output, in an order in which each has some. */
const commandLines: readonly string[] = [
  "new add_discord_tracking --database trading",
  "status",
  "lint",
  "rehearse",
  "upgrade --dry-run",
  "upgrade",
  "downgrade --steps 1 --dry-run",
  "downgrade --steps 1 --yes",
  "upgrade",
  "redo --yes",
  "backup",
  "backup",
  "backup list",
  "backup verify latest",
  "backup prune --keep 0 --dry-run",
  "restore latest --yes",
  "restore --undo --yes",
  "export --all --out dumps",
  "import dumps/trading.sql --database trading --yes",
  "verify --data --hash",
  "repair",
  "history",
  "status",
];

Deno.test("with usual names no command's output is wider than 80 columns, and it is plain text", async () => {
  using directory = new TemporaryDirectory();
  using bot = new TemporaryDirectory();
  await createBot(bot);
  fillBot(bot, 20);
  Deno.renameSync(bot.path, directory.file("data"));
  Deno.mkdirSync(bot.path);
  for (const line of commandLines) {
    const { code, stdout, stderr } = await runCommandLine(line.split(" "), { cwd: directory.path });
    assert.equal(code, 0, `${line}\n${stderr}`);
    for (const shown of (stdout + stderr).split("\n")) {
      assert(shown.length <= 80, `${line}: ${shown}`);
      assert.match(shown, /^[ -~]*$/, line);
    }
    if (line.startsWith("new ")) {
      Deno.writeTextFileSync(directory.file("migrations/004_add_discord_tracking.sql"), migration);
    }
  }
});

Deno.test("the reason of a failure is shown below its row, wrapped and complete", async () => {
  using directory = new TemporaryDirectory();
  Deno.mkdirSync(directory.file("migrations"));
  Deno.writeTextFileSync(
    directory.file("migrations/004_bad.sql"),
    "-- database: trading\n-- migrate:up\nINSERT INTO orders (order_id) VALUES ('a');\n",
  );
  const failed = await runCommandLine(["upgrade"], { cwd: directory.path });
  assert.equal(failed.code, 1);
  const [, message = ""] = /^error: (.*)$/m.exec(failed.stderr) ?? [];
  assert(message.length > 80);
  const { stdout } = await runCommandLine(["history"], { cwd: directory.path });
  for (const line of stdout.split("\n")) assert(line.length <= 80, line);
  assert.match(stdout, /^WHEN \(UTC\) +WHAT +MIGRATION +TOOK\n\S+ \S+ {2}upgrade failed +004_bad/);
  assert(stdout.replace(/\s+/g, " ").includes(message), stdout);
});

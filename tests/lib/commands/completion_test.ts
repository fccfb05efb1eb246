import assert from "node:assert/strict";
import { scriptFor } from "../../../lib/commands/completion.ts";
import { command as cliCommand, decoded, filesIn, run } from "../../cli_helpers.ts";
import { tempDir } from "../../helpers.ts";
import { openSnapshots } from "../../snapshot.ts";
import { runCommandLine } from "../support.ts";
import { ShellDirectory, whyNot } from "./shells.ts";

const shells = ["bash", "zsh", "fish", "powershell"] as const;

/** Candidates as a shell receives them. */
async function words(directory: ShellDirectory, ...line: readonly string[]): Promise<string> {
  const args = ["completion", "fish", "--words", ...line.map((word) => `.${word}`)];
  const { code, stdout, stderr } = await run(args, { cwd: directory.path });
  assert.equal(code, 0);
  assert.equal(stderr, "");
  return stdout;
}

for (const shell of shells) {
  Deno.test(`the script for ${shell} is for the requested name, in ASCII, and complete`, async () => {
    const plain = await runCommandLine(["completion", shell]);
    assert.deepEqual(plain, { code: 0, stdout: scriptFor(shell, "catalyst-migrate"), stderr: "" });
    assert.match(plain.stdout, /^[\n -~]+\n$/);
    assert.doesNotMatch(plain.stdout, /\{name\}|\{function\}|\\[$`]|undefined/);
    const other = await runCommandLine(["completion", shell, "--name", "my.tool-2", "--json"]);
    const document = JSON.parse(other.stdout);
    assert.equal(document.script, scriptFor(shell, "my.tool-2"));
    assert.match(document.script, /my\.tool-2/);
  });

  const checkers = { bash: ["-n"], zsh: ["-n"], fish: ["-n"], powershell: null };
  const options = checkers[shell];
  const reason = options === null ? "PowerShell isn't run here" : whyNot(shell);
  Deno.test({
    name: `${shell} accepts its script${reason === null ? "" : ` (skipped: ${reason})`}`,
    ignore: reason !== null,
    fn: async () => {
      await using directory = await tempDir();
      const file = `${directory.path}/script`;
      Deno.writeTextFileSync(file, scriptFor(shell, "catalyst-migrate"));
      const checked = await new Deno.Command(shell, { args: [...options ?? [], file] }).output();
      assert.deepEqual(decoded(checked), { code: 0, stdout: "", stderr: "" });
    },
  });
}

Deno.test("values come from the directories that the line names", async () => {
  using directory = await ShellDirectory.create();
  const { snapshot } = directory;
  const moment = snapshot.replace(
    /(....)(..)(..)_(..)(..)(..)/,
    "$1-$2-$3 $4:$5:$6 UTC",
  );
  assert.equal(
    await words(directory, "backup", "verify", ""),
    `none\nlatest\tthe newest one\n${snapshot}\t${moment}\n`,
  );
  const others: readonly (readonly string[])[] = [
    ["--data-dir", "sub dir", "restore", ""],
    ["restore", "--data-dir=sub dir/", ""],
    ["backup", "--out", "sub dir/backups", "verify", ""],
  ];
  for (const line of others) {
    assert.match(
      await words(directory, ...line),
      /latest\t.*\n20200101_000000\t2020-01-01 00:00:00/,
    );
  }
  assert.equal(
    await words(directory, "redo", "--migrations-dir", "mine", ""),
    "none\n001\tcreate positions tables\n002\tcreate trading tables\n" +
      "003\tcreate ml training tables\n777\tmine\n",
  );
});

Deno.test("after any error, completion prints nothing, exits with 0 and creates nothing", async () => {
  using directory = await ShellDirectory.create();
  Deno.writeTextFileSync(directory.file("file"), "");
  const before = filesIn(directory.path);
  const lines: readonly (readonly string[])[] = [
    [],
    ["nonsense", ""],
    ["", ""],
    ["help", "nonsense", ""],
    ["--data-dir", "", "restore", ""],
    ["upgrade", "--migrations-dir", "", "--to", ""],
    ["upgrade", "--migrations-dir", "none", "--to", ""],
    ["upgrade", "--migrations-dir", "file", "--to", ""],
    ["restore", "--data-dir", "none/none", ""],
    ["restore", "--data-dir", "file", ""],
    ["--version", "--help", "--json", ""],
    ["constructor", ""],
  ];
  for (const line of lines) {
    assert.doesNotMatch(
      await words(directory, ...line),
      /rror/,
    );
  }
  // Values that are known without the directory are still offered.
  const bundled = await words(directory, "redo", "--migrations-dir", "none", "");
  assert.match(bundled, /^none\n001\t.*\n002\t.*\n003\t.*\n$/);
  assert.deepEqual(filesIn(directory.path), before);
});

Deno.test("completion never prompts for a permission", async () => {
  using directory = await ShellDirectory.create();
  for (const line of ["program restore ", "program upgrade --to "]) {
    const options = { cwd: directory.path, permissions: [] };
    const args = ["completion", "bash", "--words", line];
    const { code, stderr } = decoded(await cliCommand(args, options).output());
    assert.deepEqual([code, stderr], [0, ""]);
  }
});

Deno.test("words after dots are never taken for flags of completion itself", async () => {
  using directory = await ShellDirectory.create();
  for (const flag of ["--version", "-V", "--help", "-h", "--json", "--verbose"]) {
    assert.match(await words(directory, flag, "backup", "pru"), /^prune\t/m);
  }
});

const snapshots = openSnapshots("completion");

Deno.test("the user's own queries are completed next to the bundled ones, invalid ones are not", async () => {
  using directory = await ShellDirectory.create();
  Deno.mkdirSync(directory.file("queries"));
  const files = {
    "recent-orders": "-- database: trading\n-- about: Orders of the last day\nSELECT 1",
    "win-rate": "-- database: positions\n-- about: My own win rate\nSELECT 1",
    "no-description": "-- database: trading\nSELECT 1",
    "invalid": "SELECT 1",
    "with space": "-- database: trading\n-- about: A name that needs quotes\nSELECT 1",
    "$(touch pwned)": "-- database: trading\nSELECT 1",
  };
  for (const [name, text] of Object.entries(files)) {
    Deno.writeTextFileSync(directory.file(`queries/${name}.sql`), text);
  }
  const before = filesIn(directory.path);
  snapshots("query")(await words(directory, "query", ""));
  snapshots("query recent-orders")(await words(directory, "query", "recent-orders", ""));
  assert.deepEqual(filesIn(directory.path), before);
});

import assert from "node:assert/strict";
import { expectFailure, filesIn, run } from "../cli_helpers.ts";
import { tempDir } from "../helpers.ts";
import { openSnapshots } from "../snapshot.ts";

const snapshots = openSnapshots("usage");

interface Misuse {
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly code?: string;
}

const misuses: Readonly<Record<string, Misuse>> = {
  "an unknown command": { args: ["upgarde"] },
  "a command far from any": { args: ["frobnicate"] },
  "an empty command": { args: [""] },
  "a name that every object has": { args: ["constructor"] },
  "help on an unknown command": { args: ["help", "stauts"] },
  "an unknown flag": { args: ["status", "--chek"] },
  "a flag of another command": { args: ["status", "--steps", "1"] },
  "a flag near one that needs no command": { args: ["--verson"] },
  "a flag of every command that help alone knows": { args: ["man", "--verison"] },
  "a command near help": { args: ["halp"] },
  "an unknown short flag": { args: ["upgrade", "-z"] },
  "an unknown migration": {
    args: ["upgrade", "--migration", "002_create_trading_table"],
    code: "UNKNOWN_MIGRATION",
  },
  "an unknown id to upgrade to": { args: ["upgrade", "--to", "011"], code: "UNKNOWN_MIGRATION" },
  "an unknown id to roll back": {
    args: ["downgrade", "--migration", "9"],
    code: "UNKNOWN_MIGRATION",
  },
  "an empty id": { args: ["upgrade", "--to", ""], code: "UNKNOWN_MIGRATION" },
  "a flag without its value": { args: ["upgrade", "--to"] },
  "a flag whose value is another flag": { args: ["--data-dir", "--quiet"] },
  "a value where none belongs": { args: ["upgrade", "--dry-run=yes"] },
  "a flag given twice": { args: ["upgrade", "--migration", "001", "--migration", "002"] },
  "one argument too many": { args: ["status", "everything"] },
  "two commands": { args: ["status", "verify"] },
  "a timeout that is no number": { args: ["--timeout", "soon"] },
  "a negative timeout": { args: ["--timeout=-1"] },
  "a timeout of years": { args: ["--timeout", "9999999999"] },
  "a limit of none": { args: ["history", "--limit", "0"] },
  "a limit that is no number": { args: ["history", "--limit", "all"] },
  "half a step": { args: ["downgrade", "--steps", "1.5"] },
  "one migration and up to another": { args: ["upgrade", "--migration", "001", "--to", "002"] },
  "steps and a last one": { args: ["downgrade", "--steps", "1", "--to", "001"] },
  "a value near one of those that may be": { args: ["export", "trading", "--format", "sqll"] },
  "a value far from those that may be": { args: ["schema", "--format", "yaml"] },
  "an unknown subcommand": { args: ["backup", "lsit"] },
  "a flag of another subcommand": { args: ["backup", "list", "--compress"] },
  "help on an unknown subcommand": { args: ["help", "backup", "prnue"] },
  "help on a subcommand where there is none": { args: ["help", "status", "all"] },
  "a shell that there is no script for": { args: ["completion", "fsh"] },
  "no shell": { args: ["completion"] },
  "a name that a shell would read": { args: ["completion", "bash", "--name", "a;b"] },
  "a manual page of one command": { args: ["man", "status"] },
  "an empty data directory": { args: ["--data-dir", ""] },
  "an unknown journal mode": { args: [], env: { SQLITE_WAL_MODE: "fast" } },
  "an unknown synchronous": { args: ["status"], env: { SQLITE_SYNCHRONOUS: "sometimes" } },
  "a cache size with a unit": { args: ["status"], env: { SQLITE_CACHE_SIZE: "64MB" } },
  "a cache size that SQLite would take for none": {
    args: [],
    env: { SQLITE_CACHE_SIZE: "99999999999" },
  },
  "a memory map that is no number": { args: [], env: { SQLITE_MMAP_SIZE: "1e9" } },
};

for (const [name, { args, env, code = "USAGE" }] of Object.entries(misuses)) {
  Deno.test(`wrong usage is refused and nothing is created: ${name}`, async () => {
    await using directory = await tempDir();
    await expectFailure({
      ...{ args, code, exit: 2, cwd: directory.path, snapshot: snapshots(name) },
      ...(env === undefined ? {} : { env }),
    });
    assert.deepEqual(filesIn(directory.path), {});
  });
}

Deno.test("an error in the flags is reported as JSON, regardless of the position of --json", async () => {
  await using directory = await tempDir();
  for (const args of [["--json", "nonsense"], ["--json", "--timeout"], ["status", "--json", "x"]]) {
    const { code, stdout, stderr } = await run(args, { cwd: directory.path });
    assert.equal(code, 2);
    assert.equal(stderr, "");
    assert.equal(JSON.parse(stdout).error.code, "USAGE");
  }
});

Deno.test("upgrade needs no command name, even with its flags before a value", async () => {
  await using directory = await tempDir();
  const { code, stdout } = await run(["--to", "002", "--json"], { cwd: directory.path });
  assert.equal(code, 0);
  assert.equal(JSON.parse(stdout).applied.length, 2);
});

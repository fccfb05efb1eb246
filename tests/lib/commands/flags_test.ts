import assert from "node:assert/strict";
import fc from "fast-check";
import {
  commonFlags,
  numberFlag,
  parseArguments,
  splitCommand,
} from "../../../lib/commands/flags.ts";
import type { CommandDescriptions, FlagValues } from "../../../lib/commands/command.ts";
import { commandNames, loadCommand } from "../../../lib/commands/main.ts";
import { UsageError } from "../../../lib/base/errors.ts";

async function parse(command: string, ...args: string[]): Promise<FlagValues> {
  return (await parseArguments(await loadCommand(command), args)).flags;
}

/** The message and help of the error for arguments. */
async function refusal(command: string, ...args: string[]): Promise<string> {
  try {
    await parse(command, ...args);
  } catch (error) {
    assert(error instanceof UsageError);
    return `${error.message} (${error.help})`;
  }
  return assert.fail(`${args.join(" ")} was taken`);
}

const commands: CommandDescriptions = { names: commandNames, load: loadCommand };

/** The command's name and the rest of a command line. */
async function split(...args: string[]): Promise<[name: string, ...rest: string[]]> {
  const { name, rest } = await splitCommand(args, commands);
  return [name, ...rest];
}

Deno.test("the default command is upgrade", async () => {
  assert.deepEqual(await split(), ["upgrade"]);
  assert.deepEqual(await split("--json"), ["upgrade", "--json"]);
  assert.deepEqual(await split("--data-dir", "status"), ["upgrade", "--data-dir", "status"]);
});

Deno.test("the command may come before, between or after the flags", async () => {
  const flags = ["--data-dir", "x", "--json", "--timeout", "5", "--quiet"];
  for (const place of [0, 2, 3, 5, 6]) {
    assert.deepEqual(await split(...flags.toSpliced(place, 0, "status")), ["status", ...flags]);
  }
});

Deno.test("the first word that is not a flag's value is the command", async () => {
  assert.deepEqual(await split("status", "verify"), ["status", "verify"]);
  assert.deepEqual(await split("--to", "002"), ["upgrade", "--to", "002"]);
  assert.deepEqual(await split("--to", "002", "downgrade"), ["downgrade", "--to", "002"]);
  assert.deepEqual(await split("--dry-run", "downgrade"), ["downgrade", "--dry-run"]);
  assert.deepEqual(await split("--data-dir=x", "status"), ["status", "--data-dir=x"]);
});

Deno.test("before the command, every flag that always needs a value takes the next word", async () => {
  const all = (await Promise.all(commandNames.map(loadCommand)))
    .flatMap(({ flags }) => Object.entries(flags));
  for (const [name] of all) {
    const takesValue = all.every(([other, { value }]) => other !== name || value !== undefined);
    assert.equal((await split(`--${name}`, "status"))[0], takesValue ? "upgrade" : "status", name);
  }
});

Deno.test("a flag that takes a value only in some commands leaves the next word to the command", async () => {
  assert.deepEqual(await split("--check", "status"), ["status", "--check"]);
  const schema = ["schema", "trading", "--check", "schema.sql"];
  assert.deepEqual(await split(...schema), schema);
});

Deno.test("finding the command loads no command", async () => {
  const none = { names: commandNames, load: () => assert.fail("loaded") };
  for (
    const args of [["status", "--to", "1"], ["--data-dir", "x", "status"], ["--quiet"], ["--to=1"]]
  ) {
    await splitCommand(args, none);
  }
});

Deno.test("a value follows its flag, or an equals sign", async () => {
  assert.deepEqual(await parse("upgrade", "--to", "002", "--json"), { to: "002", json: true });
  assert.deepEqual(await parse("upgrade", "--to=002"), { to: "002" });
  assert.deepEqual(await parse("upgrade", "--data-dir=a=b"), { "data-dir": ["a=b"] });
  assert.deepEqual(await parse("upgrade", "--to="), { to: "" });
  assert.deepEqual(await parse("upgrade", "--data-dir", "-x"), { "data-dir": ["-x"] });
});

Deno.test("short flags are accepted", async () => {
  assert.deepEqual(await parse("downgrade", "-y"), { yes: true });
  assert.deepEqual(await parse("status", "-h"), { help: true });
});

Deno.test("every command takes every common flag", async () => {
  for (const name of commandNames) {
    for (const [flag, { value: placeholder, multiple }] of Object.entries(commonFlags)) {
      const [value, ...following] = placeholder === undefined ? [true] : ["5", "5"];
      const args = [`--${flag}`, ...following.map(String)];
      assert.deepEqual(await parse(name, ...args), { [flag]: multiple ? [value] : value });
    }
  }
});

Deno.test("an invalid argument is refused by name, with a suggestion", async () => {
  assert.match(await refusal("status", "--chekc"), /no flag --chekc.*did you mean "--check"/);
  assert.match(await refusal("man", "--verison"), /did you mean "--version"/);
  assert.match(await refusal("status", "--yes"), /no flag --yes/);
  assert.match(await refusal("status", "-x"), /no flag -x/);
  assert.match(await refusal("upgrade", "now"), /takes no argument "now"/);
  assert.match(await refusal("upgrade", "--to"), /--to needs a value/);
  assert.match(await refusal("upgrade", "--to", "--json"), /--to needs a value/);
  assert.match(await refusal("upgrade", "--json=yes"), /--json takes no value/);
  assert.match(await refusal("upgrade", "--to", "1", "--to", "2"), /--to is given twice/);
  assert.match(await refusal("upgrade", "--constructor"), /no flag --constructor/);
});

Deno.test("an empty directory or file is refused: it would mean the root directory", async () => {
  const lines = [
    ["backup", "--out", ""],
    ["backup", "prune", "--keep", "1", "--out="],
    ["rehearse", "--dir", ""],
    ["schema", "trading", "--check", ""],
    ["status", "--data-dir", ""],
    ["upgrade", "--migrations-dir="],
  ] as const;
  for (const [command, ...args] of lines) {
    assert.match(await refusal(command, ...args), /^Cannot run \w+: --[a-z-]+ is empty /);
  }
  for (const command of ["restore", "import", "backup"]) {
    assert.match(await refusal(command, ""), /: an argument is empty /);
  }
});

Deno.test("any arguments are either accepted or refused as a usage error", async () => {
  const command = await loadCommand("downgrade");
  const word = fc.oneof(
    fc.constantFrom(
      "--to",
      "--steps",
      "--json",
      "-y",
      "--yes=1",
      "--to=1",
      "--",
      "-",
      "1",
      "",
      "--=",
      "-yy",
    ),
    fc.string(),
  );
  await fc.assert(fc.asyncProperty(fc.array(word, { maxLength: 4 }), async (args) => {
    try {
      await parseArguments(command, args);
    } catch (error) {
      assert(error instanceof UsageError);
    }
  }));
});

Deno.test("a whole number has a minimum", () => {
  assert.equal(numberFlag({ timeout: "0" }, "timeout", 0), 0);
  assert.equal(numberFlag({ steps: "007" }, "steps", 1), 7);
  for (const text of ["", "-1", "1.5", "1e3", "x", " 1", "0x10", "9999999999", "Infinity"]) {
    assert.throws(() => numberFlag({ timeout: text }, "timeout", 0), UsageError);
  }
  assert.throws(() => numberFlag({ steps: "0" }, "steps", 1), /--steps "0".*from 1 to/);
});

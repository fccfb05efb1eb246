import assert from "node:assert/strict";
import { commonFlags, parseFlags, splitCommand } from "../../../lib/commands/arguments.ts";
import { commandHelp, generalHelp } from "../../../lib/commands/help.ts";
import { commandNames, loadCommand } from "../../../lib/commands/main.ts";
import { settingVariables } from "../../../lib/database/settings.ts";
import { UsageError } from "../../../lib/errors.ts";

Deno.test("the general help names every command, common flag, variable and exit code", async () => {
  const text = await generalHelp();
  const words = [
    ...commandNames,
    ...Object.keys(commonFlags).map((name) => `--${name}`),
    ...settingVariables,
    "DB_PATH_PREFIX",
    "NO_COLOR",
    "Exit codes",
  ];
  for (const word of words) assert(text.includes(word), word);
});

for (const name of commandNames) {
  Deno.test(`the help of ${name} names its flags, and each of its examples is a right command line`, async () => {
    const command = await loadCommand(name);
    const text = commandHelp(command);
    assert(text.startsWith(`catalyst-migrate ${name}: `));
    for (const flag of Object.keys({ ...command.flags, ...commonFlags })) {
      assert(text.includes(`--${flag}`), flag);
    }
    assert(command.examples.length > 0);
    for (const [line] of command.examples) {
      assert(text.includes(`catalyst-migrate ${line}`));
      const { name: named, rest } = splitCommand(line.split(" "));
      assert.equal(named, name);
      parseFlags(command, rest);
    }
  });
}

Deno.test("no line of help is wider than 100 characters", async () => {
  const commands = await Promise.all(commandNames.map(loadCommand));
  for (const text of [await generalHelp(), ...commands.map(commandHelp)]) {
    for (const line of text.split("\n")) assert(line.length <= 100, line);
  }
});

Deno.test("a command's name is that by which it is called", async () => {
  for (const name of commandNames) assert.equal((await loadCommand(name)).name, name);
});

Deno.test("an unknown command is refused, and the nearest is named", async () => {
  for (const [name, meant] of [["stauts", "status"], ["upgrad", "upgrade"], ["rapair", "repair"]]) {
    await assert.rejects(loadCommand(name ?? ""), (error) => {
      assert(error instanceof UsageError);
      assert.match(error.help ?? "", new RegExp(`did you mean "${meant}"`));
      return true;
    });
  }
  for (const name of ["", "constructor", "__proto__"]) {
    await assert.rejects(loadCommand(name), UsageError);
  }
});

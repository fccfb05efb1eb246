import assert from "node:assert/strict";
import { commonFlags, formsOf, parseArguments, splitCommand } from "../../../lib/commands/flags.ts";
import { commandHelp, environment, files, generalHelp } from "../../../lib/commands/help.ts";
import { commandNames, commandSet, loadCommand } from "../../../lib/commands/main.ts";
import { settingVariables } from "../../../lib/database/connection.ts";
import { UsageError } from "../../../lib/base/errors.ts";

Deno.test("the general help names every command, common flag, variable and exit code", async () => {
  const text = await generalHelp(commandSet);
  const words = [
    ...commandNames,
    ...Object.keys(commonFlags).map((name) => `--${name}`),
    ...settingVariables,
    "DB_PATH_PREFIX",
    "NO_COLOR",
    "--version",
    "Exit codes",
    ...environment.flat(),
    ...files.flat(),
  ];
  // A text may continue on the next line.
  const flat = text.replace(/\s+/g, " ");
  for (const word of words) assert(flat.includes(word), word);
});

for (const name of commandNames) {
  Deno.test(`the help of ${name} names its flags, and each of its examples is a valid command line`, async () => {
    const command = await loadCommand(name);
    const text = commandHelp(command);
    assert(text.startsWith(`catalyst-migrate ${name}: `));
    for (const flag of Object.keys({ ...command.flags, ...commonFlags })) {
      assert(text.includes(`--${flag}`), flag);
    }
    assert(command.examples.length > 0);
    for (const [line] of command.examples) {
      assert(text.includes(`catalyst-migrate ${line}`));
      // The shell handles the rest.
      const [words = ""] = line.split(/ (?:>>?|[<|]) /);
      const { name: named, rest } = await splitCommand(words.split(" "), commandSet);
      assert.equal(named, name);
      await parseArguments(command, rest);
    }
  });
}

Deno.test("the general help lists each command once, in its group", async () => {
  const text = await generalHelp(commandSet, { width: 100 });
  const commands = text.slice(text.indexOf("Everyday"), text.indexOf("Options of every"));
  const listed = [...commands.matchAll(/^ {2}(\w+) /gm)].map(([, name]) => name);
  assert.deepEqual(listed, [...commandNames, "help"]);
  assert.deepEqual(commands.match(/^\w.*$/gm), [
    "Everyday",
    "Your migrations",
    "Backups",
    "Data",
    "More",
  ]);
});

Deno.test("a long command line is continued with a backslash, so that it can be copied", async () => {
  const text = commandHelp(await loadCommand("backup"), { width: 40 });
  assert.match(text, /\n {2}catalyst-migrate backup verify \\\n {4}latest --restore\n/);
});

for (const width of [40, 60, 80, 120]) {
  Deno.test(`no line of help is wider than ${width} characters`, async () => {
    const commands = await Promise.all(commandNames.map(loadCommand));
    const texts = [
      await generalHelp(commandSet, { width }),
      ...commands.flatMap((command) =>
        formsOf(command).map(({ word }) =>
          commandHelp(command, { width, operands: word === null ? [] : [word] })
        )
      ),
    ];
    for (const line of texts.flatMap((text) => text.split("\n"))) {
      // A single word may be longer.
      assert(line.length <= width || /^ *\S+(?: \\)?$/.test(line), line);
    }
  });
}

Deno.test("help is plain ASCII", async () => {
  const commands = await Promise.all(commandNames.map(loadCommand));
  for (
    const text of [
      await generalHelp(commandSet),
      ...commands.map((command) => commandHelp(command)),
    ]
  ) {
    assert.match(text, /^[\n -~]+$/);
  }
});

Deno.test("the help of a subcommand shows only its own flags and examples", async () => {
  const backup = await loadCommand("backup");
  const text = commandHelp(backup, { operands: ["verify"], width: 80 });
  assert.match(text, /^catalyst-migrate backup verify: /);
  assert.match(text, /^Usage: catalyst-migrate backup verify SNAPSHOT \[OPTIONS\]$/m);
  assert.match(text, /^ {2}--verify quick\|full\|none /m);
  assert.doesNotMatch(text, /--keep|backup list/);
  assert.match(text, /^ {2}catalyst-migrate backup verify latest$/m);
  assert.match(commandHelp(backup, { width: 80 }), /^ {2}prune +delete /m);
});

Deno.test("each flag of a command belongs to a form, and each form's flags exist", async () => {
  for (const command of await Promise.all(commandNames.map(loadCommand))) {
    const heeded = formsOf(command).flatMap(({ flags }) => flags);
    assert.deepEqual(new Set(heeded), new Set(Object.keys(command.flags)), command.name);
  }
});

Deno.test("a command's name is the one it is called by", async () => {
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

/**
 * Finds the command of a command line and runs it.
 *
 * @module
 */
import { bundledMigrations } from "../../migrations/mod.ts";
import { createCatalystMigrator, openCatalystMigrator } from "../catalyst.ts";
import { RegistryError, UsageError } from "../base/errors.ts";
import type { RestoreResult } from "../snapshot/journal.ts";
import type { Migrator } from "../migrator.ts";
import { createOutput, Declined, type Output } from "../terminal/output.ts";
import { helpCommand, listFlag, parseArguments, splitCommand } from "./flags.ts";
import type { AnyCommand, CommandSet, Environment, FlagValues } from "./command.ts";
import type { Documents, Unchanged } from "./json_documents.ts";
import {
  giveUpNetwork,
  ownMigrations,
  resolveOptions,
  seesConfiguration,
  seesOwnMigrations,
} from "./resolve_options.ts";

type Loader = () => Promise<{ readonly command: AnyCommand }>;

/**
 * Every command, as help groups them, loaded when it is called. Awaiting that lets the event loop
 * turn, which is when Deno stores compiled code for the next start: a command without work awaits
 * nothing else.
 */
const groups: Readonly<Record<string, Readonly<Record<string, Loader>>>> = {
  "Everyday": {
    upgrade: () => import("./upgrade.ts"),
    status: () => import("./status.ts"),
    verify: () => import("./verify.ts"),
    doctor: () => import("./doctor.ts"),
    history: () => import("./history.ts"),
  },
  "Your migrations": {
    init: () => import("./init.ts"),
    adopt: () => import("./adopt.ts"),
    new: () => import("./new.ts"),
    lint: () => import("./lint.ts"),
    rehearse: () => import("./rehearse.ts"),
    redo: () => import("./redo.ts"),
    downgrade: () => import("./downgrade.ts"),
    repair: () => import("./repair.ts"),
    baseline: () => import("./baseline.ts"),
    squash: () => import("./squash.ts"),
  },
  "Backups": {
    backup: () => import("./backup.ts"),
    restore: () => import("./restore.ts"),
  },
  "Data": {
    query: () => import("./query.ts"),
    report: () => import("./report.ts"),
    export: () => import("./export.ts"),
    import: () => import("./import.ts"),
    copy: () => import("./copy.ts"),
    schema: () => import("./schema.ts"),
    demo: () => import("./demo.ts"),
  },
  "More": {
    completion: () => import("./completion.ts"),
    man: () => import("./man.ts"),
  },
};

const loaders: Readonly<Record<string, Loader>> = Object.assign({}, ...Object.values(groups));

/** Names of all commands, in the order in which help lists them. */
export const commandNames: readonly string[] = Object.keys(loaders);

/**
 * Loads a command by its name.
 *
 * @throws {UsageError} if there is none of that name.
 */
export async function loadCommand(name: string): Promise<AnyCommand> {
  const load = Object.hasOwn(loaders, name) ? loaders[name] : undefined;
  if (load === undefined) {
    const { didYouMean } = await import("../base/format.ts");
    throw new UsageError(`Cannot run "${name}": there is no such command`, {
      help: `${
        didYouMean(name, [...commandNames, "help"])
      }\`catalyst-migrate --help\` lists the commands`,
    });
  }
  return (await load()).command;
}

/** All commands. */
export const commandSet: CommandSet = {
  names: commandNames,
  groups: Object.entries(groups).map(([title, commands]) => [title, Object.keys(commands)]),
  load: loadCommand,
};

/** Runs a command line and returns its exit code; exit_code.ts explains the codes. */
export async function main(args: readonly string[], environment: Environment): Promise<number> {
  if (args[args.indexOf("--words") - 2] === "completion") {
    const { answerScript } = await import("./candidates.ts");
    await answerScript(args, environment, commandSet);
    return 0;
  }
  const { name, rest } = await splitCommand(args, commandSet);
  // Created before the flags are parsed: errors in them must have the requested form.
  const output = createOutput({
    json: args.includes("--json"),
    quiet: args.includes("--quiet"),
    verbose: args.includes("--verbose"),
    noColor: args.includes("--no-color"),
  });
  try {
    if (name === "help") return await help(rest, output);
    const wantsHelp = args.includes("--help") || args.includes("-h");
    if (wantsHelp && name === "upgrade" && !args.includes("upgrade")) return await help([], output);
    if (args.includes("--version") || args.includes("-V")) {
      const { printVersion } = await import("./help.ts");
      await printVersion(output, bundledMigrations);
      return 0;
    }
    if (bundledMigrations.length === 0) {
      throw new RegistryError(
        "Cannot run catalyst-migrate: this build has no bundled migrations",
        { help: "download it again, or build it from a complete checkout" },
      );
    }
    const command = await loadCommand(name);
    const { flags, operands } = await parseArguments(command, rest);
    if (flags.help) {
      const { commandHelp } = await import("./help.ts");
      return show(commandHelp(command, { operands }), output);
    }
    const run = { command, flags, operands, environment };
    const patterns = listFlag(flags, "data-dir");
    if (patterns.length < 2 && !patterns.some((pattern) => pattern.includes("*"))) {
      return await runOne(run, output);
    }
    return await runMany(run, patterns, output);
  } catch (error) {
    if (error instanceof Declined) {
      output.json({ ok: false, changed: false } satisfies Unchanged);
      output.answer("Nothing was changed.");
      return 1;
    }
    output.error(error);
    const { exitCodeOf } = await import("./exit_code.ts");
    return exitCodeOf(error);
  }
}

/** A parsed command line. */
interface Run {
  readonly command: AnyCommand;
  readonly flags: FlagValues;
  readonly operands: readonly string[];
  readonly environment: Environment;
  /** Whether it is one of several data directories, which must not share a database. */
  readonly isOneOfMany?: boolean;
}

/** Commands that may be run on several data directories. */
const MANY: readonly string[] = ["upgrade", "status", "verify", "backup", "doctor", "history"];

async function runMany(
  run: Run,
  patterns: readonly string[],
  output: Output,
): Promise<number> {
  const { name } = run.command;
  if (!MANY.includes(name)) {
    throw new UsageError(`Cannot run ${name}: it takes only one data directory`, {
      help: `name one with --data-dir; ${MANY.join(", ")} take several`,
    });
  }
  const { expandDirectories, runInEach } = await import("./each_data_dir.ts");
  const inDirectory = (command: AnyCommand) => (directory: string, own: Output) =>
    runOne(
      { ...run, command, flags: { ...run.flags, "data-dir": [directory] }, isOneOfMany: true },
      own,
    );
  const isUpgrade = name === "upgrade" && run.flags["dry-run"] !== true;
  const verify = isUpgrade ? inDirectory(await loadCommand("verify")) : null;
  return await runInEach({
    directories: expandDirectories(patterns),
    output,
    stopAtFirst: run.flags["stop-at-first"] === true,
    work: inDirectory(run.command),
    // A problem in the first directory would occur in all of them.
    prove: verify &&
      ((directory, own) => verify(directory, { ...own, answer: own.narrate, json: () => {} })),
  });
}

async function runOne(run: Run, output: Output): Promise<number> {
  const { command, flags, operands, environment, isOneOfMany = false } = run;
  if ("runAlone" in command) {
    // It reads the configuration itself, and then does the same.
    if (command.name !== "doctor") giveUpNetwork([]);
    return await command.runAlone({ flags, operands, environment, commands: commandSet, output });
  }
  const { configuration, ...resolved } = await resolveOptions(flags, environment, { isOneOfMany });
  giveUpNetwork([...Object.values(resolved.databases), resolved.ledger ?? "", ...operands]);
  const options = {
    ...resolved,
    alone: true,
    onRestoreFinished: async (result: RestoreResult) => {
      const { renderFinishedRestore } = await import("./render.ts");
      output.warn(renderFinishedRestore(result));
    },
  };
  if (configuration === null && !seesConfiguration(flags)) {
    output.narrate(
      "Deno may not read catalyst.json, so a configuration is ignored: add it to --allow-read",
    );
  }
  const { withoutMigrations = false } = command;
  const isWithout = typeof withoutMigrations === "function"
    ? withoutMigrations(flags)
    : withoutMigrations;
  const migrationsDir = isWithout ? null : ownMigrations(flags, configuration);
  if (!isWithout && !seesOwnMigrations(flags, configuration)) {
    output.narrate(
      "Deno may not read migrations/, so your own migrations are ignored: " +
        "add it to --allow-read",
    );
  }
  const migrator = migrationsDir === null
    ? createCatalystMigrator(options)
    : await openCatalystMigrator({ ...options, migrationsDir, lenient: true });
  if (migrationsDir !== null) {
    const { describeMisnamed } = await import("../migration/loader.ts");
    // Users would believe that a silently ignored file is applied.
    const misnamed = describeMisnamed(migrationsDir);
    if (misnamed !== null) output.warn(misnamed);
  }
  let failure: unknown;
  try {
    return await command.run({ flags, operands, migrator, configuration, output });
  } catch (error) {
    failure = error;
    throw error;
  } finally {
    warnOfUnusable(migrator, failure, output);
  }
}

/** Unusable migrations that are reported one by one. */
const TOLD = 5;

/** Reports invalid migrations, unless the command failed because of them. */
function warnOfUnusable({ unusable }: Migrator, failure: unknown, output: Output): void {
  if (unusable.some((error) => error === failure)) return;
  for (const { message } of unusable.slice(0, TOLD)) {
    output.warn(`${message}; \`upgrade\` refuses to run until it is fixed`);
  }
  const others = unusable.length - TOLD;
  if (others > 0) output.warn(`${others} other migrations can't be used either`);
}

async function help(args: readonly string[], output: Output): Promise<number> {
  const { commandHelp, generalHelp, refuseUnknownForm } = await import("./help.ts");
  const { operands: [topic, ...operands] } = await parseArguments(helpCommand, args);
  if (topic === undefined || topic === helpCommand.name) {
    return show(await generalHelp(commandSet), output);
  }
  const command = await loadCommand(topic);
  if (operands[0] !== undefined) refuseUnknownForm(command, operands[0]);
  return show(commandHelp(command, { operands }), output);
}

function show(text: string, output: Output): number {
  output.json({ ok: true, help: text } satisfies Documents["help"]);
  output.answer(text);
  return 0;
}

import { UsageError } from "../errors.ts";
import type { Command } from "./command.ts";
import * as status from "./status.ts";
import * as upgrade from "./upgrade.ts";

/** Every command; those of each day are loaded at the start, the others when they are called. */
const loaders: Readonly<Record<string, () => Promise<{ readonly command: Command }>>> = {
  upgrade: () => Promise.resolve(upgrade),
  downgrade: () => import("./downgrade.ts"),
  status: () => Promise.resolve(status),
  verify: () => import("./verify.ts"),
  repair: () => import("./repair.ts"),
  history: () => import("./history.ts"),
  backup: () => import("./backup.ts"),
  restore: () => import("./restore.ts"),
};

/** Names of all commands, in the order in which help lists them. */
export const commandNames: readonly string[] = Object.keys(loaders);

/**
 * Loads a command by its name.
 *
 * @throws {UsageError} where there is none of that name.
 */
export async function loadCommand(name: string): Promise<Command> {
  const load = Object.hasOwn(loaders, name) ? loaders[name] : undefined;
  if (load === undefined) {
    const { didYouMean } = await import("../suggestion.ts");
    throw new UsageError(`Cannot run "${name}": there is no such command`, {
      help: `${didYouMean(name, commandNames)}\`catalyst-migrate --help\` lists the commands`,
    });
  }
  return (await load()).command;
}

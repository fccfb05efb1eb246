import { UsageError } from "../errors.ts";
import { didYouMean } from "../suggestion.ts";
import type { Command } from "./command.ts";

/** Every command; loaded when it is called, so that each start loads only one. */
const loaders: Readonly<Record<string, () => Promise<{ readonly command: Command }>>> = {
  upgrade: () => import("./upgrade.ts"),
  downgrade: () => import("./downgrade.ts"),
  status: () => import("./status.ts"),
  verify: () => import("./verify.ts"),
  repair: () => import("./repair.ts"),
  history: () => import("./history.ts"),
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
    throw new UsageError(`Cannot run "${name}": there is no such command`, {
      help: `${didYouMean(name, commandNames)}\`catalyst-migrate --help\` lists the commands`,
    });
  }
  return (await load()).command;
}

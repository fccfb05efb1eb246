import { renderTable } from "../terminal/text.ts";
import { commonFlags, type Flag } from "./arguments.ts";
import type { CommandDescription } from "./command.ts";
import { commandNames, loadCommand } from "./main.ts";

const PROGRAM = "catalyst-migrate";

/** The text of `--help`: commands, options, variables. */
export async function generalHelp(): Promise<string> {
  const commands = await Promise.all(commandNames.map(loadCommand));
  return [
    `Creates and migrates the SQLite databases of a paper-trading bot.`,
    ``,
    `Usage: ${PROGRAM} [COMMAND] [OPTIONS]`,
    ``,
    `Commands`,
    renderTable(commands.map(({ name, summary }) => [name, summary]), { indent: 2 }),
    ``,
    `Options of every command`,
    renderFlags(commonFlags),
    ``,
    `Environment`,
    renderTable([
      ["DB_PATH_PREFIX", "put before each file name (default: data/)"],
      ["SQLITE_WAL_MODE", "journal mode of new databases (default: WAL)"],
      ["SQLITE_SYNCHRONOUS", "NORMAL, FULL, EXTRA or OFF (default: NORMAL)"],
      ["SQLITE_CACHE_SIZE", "cache in pages (default: 10000)"],
      ["SQLITE_MMAP_SIZE", "memory map in bytes (default: 30000000000)"],
    ], { indent: 2 }),
    ``,
    `Exit codes: 0 done, or nothing to do; 1 it failed, or a check found something; 2 wrong usage.`,
    `\`${PROGRAM} COMMAND --help\` tells more of one command.`,
  ].join("\n");
}

/** The text of `COMMAND --help`. */
export function commandHelp(command: CommandDescription): string {
  const { name, summary, operands, flags, examples } = command;
  return [
    `${PROGRAM} ${name}: ${summary}.`,
    ``,
    `Usage: ${PROGRAM} ${name}${operands === undefined ? "" : ` ${operands}`} [OPTIONS]`,
    ``,
    `Options`,
    renderFlags({ ...flags, ...commonFlags }),
    ``,
    `Examples`,
    renderTable(examples.map(([line, does]) => [`${PROGRAM} ${line}`, does]), { indent: 2 }),
  ].join("\n");
}

function renderFlags(flags: Readonly<Record<string, Flag>>): string {
  return renderTable(
    Object.entries(flags).map(([name, { short, value, help }]) => [
      `${short === undefined ? "" : `-${short}, `}--${name}${
        value === undefined ? "" : ` ${value}`
      }`,
      help,
    ]),
    { indent: 2 },
  );
}

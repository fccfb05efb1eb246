import { directoryOf, refuseSpecialFile } from "../base/paths.ts";
import { unifiedDiff } from "../base/diff.ts";
import { AccessError, ConfirmationError, UsageError } from "../base/errors.ts";
import { formatBytes, formatCount, messageOf, printable, renderTable } from "../base/format.ts";
import { catalystDatabases, createCatalystMigrator } from "../catalyst.ts";
import { number } from "../database/connection.ts";
import { writeText } from "../dump/output_file.ts";
import { locate } from "../database/location.ts";
import { readDatabase } from "../database/open.ts";
import { countRows } from "../schema/model.ts";
import { type Configuration, parseConfiguration } from "../state/configuration.ts";
import { databasesBelow, proposeName } from "../state/discover.ts";
import { backupsBeside, ledgerOf } from "../state/workspace.ts";
import {
  type SelfContainedCommand,
  type SelfContainedContext,
  stringFlag,
  yesFlag,
} from "./arguments.ts";
import { type ResolvedOptions, resolveOptions } from "./options.ts";
import type { Documents, FoundDatabase } from "./documents.ts";

/** `init`: writes a configuration with the databases that exist. */
export const command: SelfContainedCommand = {
  name: "init",
  summary: "find the SQLite files in the data directory and write catalyst.json",
  flags: {
    "yes": yesFlag,
    "force": { type: "boolean", help: "replace an existing file after showing the difference" },
  },
  examples: [
    ["init", "search data/, propose names, and ask"],
    ["init --data-dir bot/data --yes", "write the configuration without asking"],
  ],
  runAlone: async (context: SelfContainedContext) => {
    const { flags, output } = context;
    const target = stringFlag(flags, "config") ?? "catalyst.json";
    const former = textOf(target);
    if (former !== null && flags.force !== true) {
      throw new UsageError(`Cannot write ${target}: it exists`, {
        help: "`init --force` shows the difference, then replaces it",
      });
    }
    const current = former === null ? null : await parseConfiguration(former, target);
    const options = await optionsWithout(context, current);
    const found = await findAll(options, current?.databases ?? {});
    const text = await configurationText(options, { found, current, context });
    if (!output.isJson) {
      const tell = flags.yes === true ? output.report : output.answer;
      if (found.length > 0) tell(renderFound(found));
      else output.narrate(`No SQLite files in ${directoryOf(options.prefix)}.`);
      if (former !== null) {
        tell(unifiedDiff(former, text, { before: target, after: target }));
      }
    }
    if (former === text) {
      output.json(
        { ok: true, path: target, written: false, databases: found } satisfies Documents["init"],
      );
      output.report(`${printable(target)} is up to date.`);
      return 0;
    }
    const migrator = createCatalystMigrator(options);
    await migrator.refuseOccupied(target, { force: true, flag: "--config" });
    await confirmWriting(context, `Write ${target} with ${formatCount(found.length, "database")}?`);
    await writeText(target, text);
    output.json(
      { ok: true, path: target, written: true, databases: found } satisfies Documents["init"],
    );
    output.report(`wrote ${printable(target)}`);
    output.narrate("Next: `catalyst-migrate status`, then `adopt DATABASE` for each of your own.");
    return 0;
  },
};

/** The options from flags and variables; of an existing configuration only the data directory is used. */
async function optionsWithout(
  { flags, environment }: SelfContainedContext,
  current: Configuration | null,
): Promise<ResolvedOptions> {
  const dataDir = current?.dataDir;
  const named = flags["data-dir"] === undefined && dataDir !== undefined
    ? { ...flags, "data-dir": [dataDir] }
    : flags;
  return await resolveOptions(named, environment, { withoutConfiguration: true });
}

async function findAll(
  options: ResolvedOptions,
  named: Readonly<Record<string, string>>,
): Promise<FoundDatabase[]> {
  const { prefix } = options;
  const ledger = ledgerOf(prefix);
  const backups = options.backupDir ?? backupsBeside(ledger);
  const found: FoundDatabase[] = [];
  for (const path of databasesBelow(prefix, { except: backups, known: [ledger] })) {
    const inside = path.startsWith(prefix) ? path.slice(prefix.length) : path;
    const bundled = catalystDatabases.find((name) => inside === `${name}.db`);
    const taken = [
      ...[...catalystDatabases, "migrations", ...Object.keys(named)],
      ...found.map(({ name }) => name),
    ];
    const known = Object.keys(named).find((name) => named[name] === inside);
    found.push({
      name: known ?? bundled ?? proposeName(inside, taken),
      path: inside,
      sizeBytes: Deno.statSync(path).size,
      ...await contentOf(path, options),
    });
  }
  return found;
}

async function contentOf(
  path: string,
  { settings }: ResolvedOptions,
): Promise<Pick<FoundDatabase, "content" | "problem">> {
  try {
    const content = await readDatabase(
      locate(path),
      { settings, alone: true },
      async (connection) => {
        const rows = await countRows(connection);
        const row = await connection.get("SELECT count(*) AS tables FROM main.sqlite_schema");
        const tables = rows.size === 0 && row !== undefined ? number(row, "tables") : rows.size;
        return { tables, rows: [...rows.values()].reduce((sum, count) => sum + count, 0) };
      },
    );
    return { content, problem: "" };
  } catch (error) {
    return { content: null, problem: messageOf(error) };
  }
}

function renderFound(found: readonly FoundDatabase[]): string {
  return renderTable(
    found.map(({ name, path, sizeBytes, content }) => [
      name,
      printable(path),
      formatBytes(sizeBytes),
      content === null ? "-" : String(content.tables),
      content === null ? "-" : String(content.rows),
    ]),
    {
      header: ["DATABASE", "FILE", "SIZE", "TABLES", "ROWS"],
      align: ["left", "left", "right", "right", "right"],
      notes: found.map(({ problem }) => printable(problem)),
    },
  );
}

/** The file's text: its previous content, and the databases that it did not name yet. */
async function configurationText(
  options: ResolvedOptions,
  { found, current, context }: {
    readonly found: readonly FoundDatabase[];
    readonly current: Configuration | null;
    readonly context: SelfContainedContext;
  },
): Promise<string> {
  const [dataDir] = Array.isArray(context.flags["data-dir"]) ? context.flags["data-dir"] : [];
  const conflicting = await conflictingDatabases(options);
  const databases: Record<string, string> = { ...current?.databases };
  for (const { name, path } of found) {
    if (Object.values(databases).includes(path)) continue;
    if (conflicting.has(name)) {
      // The file is the bot's own, so the bundled database of that name is put elsewhere.
      databases[`own_${name}`] = path;
      databases[name] = `catalyst/${name}.db`;
    } else if (!catalystDatabases.some((bundled) => bundled === name)) databases[name] = path;
  }
  const { path: _path, bundled, ...others } = current ?? { path: "", bundled: true };
  const configuration = {
    ...(bundled ? {} : { bundled }),
    ...(dataDir === undefined ? {} : { dataDir }),
    ...others,
    databases,
  };
  return `${JSON.stringify(configuration, null, 2)}\n`;
}

/** Bundled databases whose path has a file with other tables. */
async function conflictingDatabases(options: ResolvedOptions): Promise<ReadonlySet<string>> {
  const { configuration: _configuration, ...rest } = options;
  try {
    const { conflicts } = await createCatalystMigrator({ ...rest, alone: true }).status();
    return new Set(conflicts.map(({ database }) => database));
  } catch {
    return new Set(); // a damaged database; `status` says so
  }
}

async function confirmWriting(
  { flags, output }: SelfContainedContext,
  question: string,
): Promise<void> {
  if (flags.yes === true) return;
  const { confirm } = await import("../terminal/interaction.ts");
  if (!output.isJson && await confirm(question)) return;
  throw new ConfirmationError("Cannot write the configuration: it was not confirmed", {
    help: "add --yes in a non-interactive session",
  });
}

function textOf(path: string): string | null {
  refuseSpecialFile(path, { cannot: "read" });
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw new AccessError(`Cannot read ${path}: ${messageOf(error)}`, {
      cause: error,
      help: "check that this user and Deno may read it",
    });
  }
}

import { directoryOf, refuseSpecialFile } from "../base/paths.ts";
import { unifiedDiff } from "../base/diff.ts";
import { AccessError, ConfirmationError, UsageError } from "../base/errors.ts";
import { formatBytes, formatCount, messageOf } from "../base/format.ts";
import { printable, renderTable } from "../terminal/text.ts";
import { catalystDatabases, createCatalystMigrator } from "../catalyst.ts";
import { number } from "../database/connection.ts";
import { writeText } from "../dump/output_file.ts";
import { locate } from "../database/location.ts";
import { openForReading } from "../database/open.ts";
import { countRows } from "../schema/tables.ts";
import { type Configuration, parseConfiguration, withDatabases } from "../state/configuration.ts";
import { databasesBelow, proposeName } from "../state/uncovered_files.ts";
import { backupsBeside, ledgerOf } from "../state/workspace.ts";
import { listFlag, stringFlag, yesFlag } from "./flags.ts";
import type { SelfContainedCommand, SelfContainedContext } from "./command.ts";
import { outputFileOptions, type ResolvedOptions, resolveOptions } from "./resolve_options.ts";
import type { Documents, FoundDatabase } from "./json_documents.ts";

/** `init`: writes a configuration with the databases that exist. */
export const command: SelfContainedCommand = {
  name: "init",
  summary: "find the SQLite files in the data directory and write catalyst.json",
  flags: {
    "yes": yesFlag,
    "force": { help: "replace an existing file after showing the difference" },
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
    const { found, skipped, displaced } = await findAll(options, current?.databases ?? {});
    const done = (written: boolean, text: string) => {
      output.json(
        { ok: true, path: target, written, databases: found } satisfies Documents["init"],
      );
      output.report(text);
      return 0;
    };
    for (const one of skipped) output.warn(`skipped ${printable(one)}`);
    if (found.length === 0 && former === null && flags.yes !== true) {
      return done(
        false,
        `No SQLite files in ${
          printable(directoryOf(options.prefix))
        }: a configuration is not needed. ` +
          "`upgrade` creates the bundled databases.",
      );
    }
    const [dataDir] = current?.dataDir === undefined ? listFlag(flags, "data-dir") : [];
    const text = await configurationText({ found, displaced, former, current, dataDir });
    if (!output.isJson) {
      const tell = flags.yes === true ? output.report : output.answer;
      if (found.length > 0) tell(renderFound(found));
      else output.narrate(`No SQLite files in ${printable(directoryOf(options.prefix))}.`);
      for (const name of displaced) {
        output.narrate(
          `${name}.db has other tables than the bundled database ${name}, so yours is called ` +
            `own_${name}, and the bundled one will be catalyst/${name}.db.`,
        );
      }
      if (former !== null) {
        tell(unifiedDiff(former, text, { before: target, after: target }));
      }
    }
    if (former === text) return done(false, `${printable(target)} is up to date.`);
    const migrator = createCatalystMigrator(options);
    const { migrationsDir = null } = outputFileOptions({ flags, configuration: current });
    await migrator.refuseOccupied(target, { force: true, flag: "--config", migrationsDir });
    await confirmWriting(context, `Write ${target} with ${formatCount(found.length, "database")}?`);
    await writeText(target, text);
    done(true, `wrote ${printable(target)}`);
    output.narrate(
      "Next: `catalyst-migrate upgrade` creates what is missing; `adopt DATABASE` brings one of " +
        "your own databases under management.",
    );
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

/** What {@link findAll} found. */
interface Discovery {
  readonly found: readonly FoundDatabase[];
  /** Files that have the name of a database but can't be used, and why. */
  readonly skipped: readonly string[];
  /** Names of the bundled databases whose path has a file of the bot with other tables. */
  readonly displaced: readonly string[];
}

async function findAll(
  options: ResolvedOptions,
  named: Readonly<Record<string, string>>,
): Promise<Discovery> {
  const { prefix } = options;
  const conflicting = await conflictingDatabases(options);
  const displaced: string[] = [];
  const skipped: string[] = [];
  const onSkipped = (path: string, reason: string) => skipped.push(`${path}: ${reason}`);
  const ledger = ledgerOf(prefix);
  const backups = options.backupDir ?? backupsBeside(ledger);
  const found: FoundDatabase[] = [];
  for (const path of databasesBelow(prefix, { except: backups, known: [ledger], onSkipped })) {
    const inside = path.startsWith(prefix) ? path.slice(prefix.length) : path;
    const bundled = catalystDatabases.find((name) => inside === `${name}.db`);
    const taken = [
      ...[...catalystDatabases, "migrations", ...Object.keys(named)],
      ...found.map(({ name }) => name),
    ];
    const known = Object.keys(named).find((name) => named[name] === inside);
    const isDisplaced = known === undefined && bundled !== undefined && conflicting.has(bundled);
    if (isDisplaced) displaced.push(bundled);
    found.push({
      name: known ?? (isDisplaced ? `own_${bundled}` : bundled) ?? proposeName(inside, taken),
      path: inside,
      sizeBytes: Deno.statSync(path).size,
      ...await contentOf(path, options),
    });
  }
  return { found, skipped, displaced };
}

async function contentOf(
  path: string,
  { settings }: ResolvedOptions,
): Promise<Pick<FoundDatabase, "content" | "problem">> {
  try {
    await using connection = await openForReading(locate(path), settings);
    const rows = await countRows(connection);
    const row = await connection.get("SELECT count(*) AS tables FROM main.sqlite_schema");
    const tables = rows.size === 0 && row !== undefined ? number(row, "tables") : rows.size;
    const total = [...rows.values()].reduce((sum, count) => sum + count, 0);
    return { content: { tables, rows: total }, problem: "" };
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
  { found, displaced, former, current, dataDir }: Omit<Discovery, "skipped"> & {
    readonly former: string | null;
    readonly current: Configuration | null;
    readonly dataDir: string | undefined;
  },
): Promise<string> {
  const databases: Record<string, string> = { ...current?.databases };
  for (const { name, path } of found) {
    const isNamed = Object.values(databases).includes(path);
    if (!isNamed && !catalystDatabases.some((bundled) => bundled === name)) databases[name] = path;
  }
  for (const name of displaced) databases[name] = `catalyst/${name}.db`;
  return await withDatabases(former ?? "{}", {
    databases,
    ...(dataDir === undefined ? {} : { dataDir }),
  });
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

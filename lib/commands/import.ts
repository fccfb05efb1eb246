import { UsageError } from "../base/errors.ts";
import { partOfWork } from "../base/steps.ts";
import { formatBytes, formatCount } from "../base/format.ts";
import { printable, renderTable } from "../terminal/text.ts";
import type { ImportPlan, ImportResult } from "../dump/import.ts";
import type { ImportRowsResult } from "../dump/import_rows.ts";
import { canAsk } from "../terminal/interaction.ts";
import { createProgress } from "../terminal/progress.ts";
import { choiceFlag, misuse, noBackupFlag, stringFlag, yesFlag } from "./flags.ts";
import type { Command, CommandContext, FlagValues } from "./command.ts";
import { badRowsInto, openSource } from "./import_files.ts";
import { followWork } from "./progress.ts";
import { outputFileOptions } from "./resolve_options.ts";
import { confirmPlan, renderReconciliation, renderRowChanges, violatesCheck } from "./render.ts";
import type { Documents } from "./json_documents.ts";

/** Formats of a file. */
const FORMATS = ["sql", "csv", "jsonl"] as const;
type Format = (typeof FORMATS)[number];

/** `import`: loads a dump, or rows into a table. */
export const command: Command = {
  name: "import",
  summary: "load a dump into a new or existing database, or rows into a table",
  operands: "FILE|-",
  flags: {
    "database": { value: "DATABASE", help: "the database to import into" },
    "into-existing": { help: "run the dump in the existing database instead of replacing it" },
    "format": {
      value: FORMATS.join("|"),
      help: "format of the file (default: by its name, otherwise sql)",
    },
    "table": { value: "T", help: "csv, jsonl: the table to import into" },
    "skip-bad-rows": {
      value: "FILE",
      help: "csv, jsonl: import the good rows and write the bad ones to FILE",
    },
    "no-backup": noBackupFlag,
    "yes": yesFlag,
  },
  examples: [
    ["import trading.sql.gz --database trading", "create or replace a database from a dump"],
    [
      "import - --database trading --yes < trading.sql",
      "read the dump from a pipe, and replace without asking",
    ],
    ["import orders.sql --database trading --into-existing", "add rows to an existing database"],
    ["import orders.csv --database trading --table orders", "add rows from a CSV file"],
  ],
  run: async (context: CommandContext) => {
    const { flags, operands } = context;
    const [file, ...others] = operands;
    if (file === undefined || others.length > 0) {
      throw misuse(command, "name one file, or - for stdin");
    }
    const database = stringFlag(flags, "database");
    if (database === undefined) throw misuse(command, "name the database with --database");
    const format = formatOf(file, flags);
    if (format === "sql") return await importSql(context, { file, database });
    if (flags["into-existing"]) {
      throw misuse(
        command,
        "--into-existing is for SQL; rows are always added to an existing table",
      );
    }
    return await importTable(context, { file, database, format });
  },
};

async function importSql(
  context: CommandContext,
  { file, database }: { readonly file: string; readonly database: string },
): Promise<number> {
  const { flags, migrator, output } = context;
  for (const flag of ["table", "skip-bad-rows"]) {
    if (flags[flag] !== undefined) {
      throw misuse(command, `--${flag} is only for CSV and JSON Lines`);
    }
  }
  const intoExisting = flags["into-existing"] === true;
  // The transaction is open meanwhile, and a bot would have to wait for the answer.
  const mayConfirm = flags.yes === true || (!intoExisting && canAsk());
  const source = await openSource(file);
  using progress = followWork(context, createProgress(output, { bytes: source.size ?? 0 }));
  const result = await migrator.importDump(source.stream, {
    database,
    intoExisting,
    label: source.label,
    ...(file === "-" ? {} : { likeFile: file }),
    backup: flags["no-backup"] !== true,
    signal: progress.signal,
    ...(mayConfirm
      ? {
        confirm: (plan) => {
          progress.end();
          const question = `Replace ${plan.database}?`;
          return confirmPlan(context, { plan: renderPlan(plan), question });
        },
      }
      : {}),
    onProgress: (read) =>
      source.size === null
        ? progress.show(`reading ${source.label}: ${formatBytes(read)}`, 0)
        : progress.show(`reading ${source.label}`, READING * read / (source.size || 1), BUILDING),
    onStep: partOfWork(progress.step, [source.size === null ? 0 : BUILDING, 1]),
  });
  progress.end();
  output.json({ ok: true, ...result } satisfies Documents["import"]);
  output.report(renderImport(result, source.label));
  for (const { table, parent, rows } of result.violations) {
    output.warn(
      `${formatCount(rows, "row")} of ${table} ${
        rows === 1 ? "points" : "point"
      } to rows of ${parent} that don't exist, as in the dump`,
    );
  }
  for (const { table, rows } of result.violatedChecks) {
    output.warn(`${violatesCheck(rows, table)}, as in the dump`);
  }
  return 0;
}

/** The share of an import that is reading the dump, and with the indexes, which come last. */
const READING = 0.5;
const BUILDING = 0.6;

/** The format of a file: from the flag, or from its name; otherwise SQL. */
function formatOf(file: string, flags: FlagValues): Format {
  const given = choiceFlag(flags, "format", FORMATS);
  if (given !== undefined) return given;
  const ending = /\.(csv|jsonl|ndjson|json)(\.gz)?$/i.exec(file)?.[1]?.toLowerCase();
  return ending === undefined ? "sql" : ending === "csv" ? "csv" : "jsonl";
}

function renderPlan({ label, database, now, then, lost }: ImportPlan): string {
  return [
    `Importing ${printable(label)} will change ${database}:`,
    renderRowChanges({ now, then }, { indent: 2, lost }),
  ].join("\n");
}

function renderImport(result: ImportResult, label: string): string {
  const { database, outcome, rows, snapshot } = result;
  const tables = Object.entries(rows);
  const total = tables.reduce((sum, [, count]) => sum + count, 0);
  const done = {
    created: `Created ${database}`,
    replaced: `Replaced ${database}`,
    added: `Changed ${database}`,
  }[outcome];
  return [
    ...tables.length === 0 ? [] : [renderTable(
      tables.map(([table, count]) => [printable(table), formatCount(count, "row")]),
      { align: ["left", "right"] },
    )],
    `${done} from ${printable(label)}: ${formatCount(tables.length, "table")}, ${
      formatCount(total, "row")
    }.`,
    ...snapshot === null ? [] : [
      outcome === "replaced"
        ? `The previous data is in snapshot ${snapshot}; \`restore --undo\` goes back.`
        : `The previous data is in snapshot ${snapshot}; \`restore ${snapshot}\` goes back.`,
    ],
    ...renderReconciliation(result),
    ...outcome === "replaced"
      ? ["If the bot is running, restart it: its memory is from the previous database."]
      : [],
  ].join("\n");
}

/** The shares of an import of rows that are done after the snapshot, and when all has been read. */
const KEEPING = 0.3;
const READ = 0.95;

/** Bad rows that are reported one by one. */
const TOLD = 100;

/** Source and target of an import. */
interface TableImport {
  readonly file: string;
  readonly database: string;
  readonly format: "csv" | "jsonl";
}

/** `import` of CSV or JSON Lines: adds rows to a table. */
async function importTable(
  context: CommandContext,
  { file, database, format }: TableImport,
): Promise<number> {
  const { flags, migrator, output } = context;
  const table = stringFlag(flags, "table");
  if (table === undefined) {
    throw new UsageError(`Cannot import ${file}: name the table with --table`, {
      help: "use --table T, such as --table orders",
    });
  }
  const skipped = stringFlag(flags, "skip-bad-rows");
  if (skipped !== undefined) {
    const flag = "--skip-bad-rows";
    await migrator.refuseOccupied(skipped, { flag, ...outputFileOptions(context) });
  }
  const source = await openSource(file);
  using bad = badRowsInto(skipped);
  using progress = followWork(context, createProgress(output, { bytes: source.size ?? 0 }));
  const result = await migrator.importRows(source.stream, {
    database,
    table,
    format,
    label: source.label,
    backup: flags["no-backup"] !== true,
    signal: progress.signal,
    ...(bad === null ? {} : {
      onBadRow: (row) => {
        bad.take(row);
        if (bad.count > TOLD) return;
        output.narrate(
          bad.count < TOLD
            ? `skipped line ${row.line}: ${printable(row.reason)}`
            : "further skipped lines are not listed",
        );
      },
    }),
    onProgress: (state) => {
      if (state.stage === "snapshot") {
        const share = KEEPING * state.done / Math.max(1, state.total);
        progress.show(`copying ${database} into a snapshot`, share, KEEPING);
      } else if (source.size !== null) {
        const share = KEEPING + (READ - KEEPING) * state.bytes / (source.size || 1);
        progress.show(`importing ${source.label}`, share, 1);
      } else progress.show(`importing ${source.label}: ${formatBytes(state.bytes)}`, 0);
    },
  });
  bad?.keep();
  progress.end();
  output.json({ ok: true, database, ...result } satisfies Documents["import"]);
  output.report(render(result, source.label, stringFlag(flags, "skip-bad-rows")));
  return 0;
}

function render(result: ImportRowsResult, label: string, badRows: string | undefined): string {
  const { table, rows, skipped, snapshot } = result;
  return [
    `Imported ${formatCount(rows, "row")} of ${printable(label)} into ${printable(table)}.`,
    ...skipped === 0 || badRows === undefined
      ? []
      : [`${formatCount(skipped, "bad row")} written to ${printable(badRows)}.`],
    ...snapshot === null
      ? []
      : [`The previous data is in snapshot ${snapshot}; \`restore ${snapshot}\` goes back.`],
  ].join("\n");
}

import { StatementError, UsageError } from "../base/errors.ts";
import { didYouMean, formatCount } from "../base/format.ts";
import { printable, printableJson, renderTable } from "../terminal/text.ts";
import type { SqlValue } from "../database/connection.ts";
import { writeText } from "../dump/output_file.ts";
import { findQueries, LEDGER_ALIAS, type NamedQuery, parameterValue } from "../report/queries.ts";
import { parametersOf, type QueryOptions, type QueryResult } from "../report/query.ts";
import { createWriter, screenWidth } from "../terminal/output.ts";
import { abortOnInterrupt } from "../base/event_loop.ts";
import {
  formatResult,
  type ResultFormat,
  resultFormats,
  type ResultOptions,
  rowObjects,
} from "../terminal/result.ts";
import { choiceFlag, listFlag, numberFlag, stringFlag } from "./flags.ts";
import type { Command, CommandContext, FlagValues } from "./command.ts";
import { outputFileOptions } from "./resolve_options.ts";
import type { Documents } from "./json_documents.ts";

/** `query`: shows rows by named queries and by SQL. */
export const command: Command = {
  name: "query",
  summary: "run a named query, or SQL that only reads",
  operands: "[QUERY|DATABASE] [SQL|-]",
  flags: {
    "param": {
      value: "NAME=VALUE",
      multiple: true,
      help: "value of the parameter :NAME; may be repeated",
    },
    "limit": { value: "N", help: "show at most N rows (default: 1000)" },
    "format": {
      value: resultFormats.join("|"),
      shown: "FORMAT",
      help: "table (default), csv, json, jsonl or markdown",
    },
    "out": { value: "FILE", help: "where to write (default: stdout)" },
    "force": { help: "replace an existing file" },
    "raw": { help: "show values as stored, such as times as epoch seconds" },
  },
  withoutMigrations: true,
  examples: [
    ["query", "list the named queries: bundled ones, and yours in queries/*.sql"],
    ["query open-positions", "run a named query"],
    ['query trading "SELECT * FROM orders WHERE quantity > 10"', "run SQL"],
    ["query equity-curve --format csv --out equity.csv", "write rows for a spreadsheet"],
  ],
  run: async (context: CommandContext) => {
    const { operands, output } = context;
    if (operands.length === 0) return await list(context);
    const request = await requestOf(context);
    const interruption = new AbortController();
    using _listening = abortOnInterrupt(interruption);
    const result = await context.migrator.query(request.database, {
      ...request.options,
      signal: interruption.signal,
    });
    if (result.isCut) {
      output.warn(
        `only the first ${formatCount(result.rows.length, "row")} are shown; --limit N shows more`,
      );
    }
    await show(context, result, request);
    return 0;
  },
};

async function list({ migrator, output }: CommandContext): Promise<number> {
  const { queries, faults } = await findQueries();
  output.json(
    {
      ok: true,
      queries: queries.map(({ name, database, about, sql, file }) => ({
        name,
        database,
        about,
        parameters: parametersOf(sql),
        file,
      })),
    } satisfies Documents["query"],
  );
  output.answer(renderTable(
    queries.map(({ name, database, about }) => [name, database, about].map(printable)),
    { header: ["QUERY", "DATABASE", "SHOWS"] },
  ));
  for (const fault of faults.values()) output.warn(fault.message);
  output.narrate(
    `\`query NAME\` runs one; \`query DATABASE "SELECT ..."\` runs SQL on ${
      [...migrator.databases, LEDGER_ALIAS].join(", ")
    }.`,
  );
  return 0;
}

/** The request on the command line. */
interface Request {
  readonly database: string;
  readonly options: QueryOptions;
  readonly format: ResultFormat;
  /** Path of the file; undefined for stdout. */
  readonly out: string | undefined;
}

async function requestOf(context: CommandContext): Promise<Request> {
  const { flags, operands, migrator, output } = context;
  const [first = "", sql, ...others] = operands;
  if (others.length > 0) {
    throw misuse("there are too many arguments", "put the SQL in quotes");
  }
  const out = stringFlag(flags, "out");
  if (out !== undefined) await migrator.refuseOccupied(out, outputFileOptions(context));
  const format = choiceFlag(flags, "format", resultFormats) ?? formatOf(out);
  if (output.isJson && flags.format !== undefined && out === undefined) {
    throw misuse("--json and --format contradict each other", "use one of them, or --out FILE");
  }
  const limit = numberFlag(flags, "limit", 1) ?? 1000;
  const timeout = numberFlag(flags, "timeout", 0);
  const given = parametersIn(flags);
  const query = sql === undefined
    ? await named(first, migrator.databases)
    : { database: first, sql: sql === "-" ? await textOfStdin() : sql, defaults: {} };
  const defaults = Object.entries(query.defaults)
    .filter(([name]) => parametersOf(query.sql).includes(name))
    .map(([name, value]) => [name, parameterValue(value)]);
  const options = {
    limit,
    ...(timeout === undefined ? {} : { timeout }),
    sql: query.sql,
    parameters: { ...Object.fromEntries(defaults), ...given },
  };
  return { database: query.database, options, format, out };
}

async function textOfStdin(): Promise<string> {
  return await new Response(Deno.stdin.readable).text();
}

function misuse(reason: string, help: string): UsageError {
  return new UsageError(`Cannot run query: ${reason}`, { help });
}

/** The format for a file's name. */
function formatOf(out: string | undefined): ResultFormat {
  const ending = /\.(csv|jsonl?|md)$/i.exec(out ?? "")?.[1]?.toLowerCase();
  return ending === "md" ? "markdown" : resultFormats.find((one) => one === ending) ?? "table";
}

function parametersIn(flags: FlagValues): Record<string, SqlValue> {
  return Object.fromEntries(
    listFlag(flags, "param").map((text) => {
      const [, name, value] = /^[:@$]?(\w+)=(.*)$/s.exec(text) ?? [];
      if (name === undefined || value === undefined) {
        throw new UsageError(`Cannot use --param ${JSON.stringify(text)}: expected NAME=VALUE`, {
          help: "for example --param since=2025-01-01",
        });
      }
      return [name, parameterValue(value)];
    }),
  );
}

async function named(name: string, databases: readonly string[]): Promise<NamedQuery> {
  const { queries, faults } = await findQueries();
  const fault = faults.get(name);
  if (fault !== undefined) throw fault;
  const found = queries.find((one) => one.name === name);
  if (found !== undefined) return found;
  if (databases.includes(name) || name === LEDGER_ALIAS) {
    throw misuse(
      `the SQL for ${name} is missing`,
      `for example: query ${name} "SELECT name FROM sqlite_schema"`,
    );
  }
  throw new UsageError(`Cannot run query "${name}": query not found`, {
    help: `${
      didYouMean(name, [...queries.map((one) => one.name), ...databases])
    }\`query\` lists the named queries`,
  });
}

function formatted(result: QueryResult, options: ResultOptions): string {
  try {
    return formatResult(result, options);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new StatementError(
      `Cannot show the rows as ${options.format}: the text would be too long`,
      {
        cause: error,
        help: "select less, such as substr(column, 1, 1000), or use --format csv or jsonl",
      },
    );
  }
}

async function show(
  { flags, migrator, output }: CommandContext,
  result: QueryResult,
  { format, out, database }: Request,
): Promise<void> {
  if (output.isJson && out === undefined) {
    const { columns, isCut } = result;
    const rows = rowObjects(result);
    output.json({ ok: true, database, columns, rows, isCut } satisfies Documents["query"]);
    return;
  }
  const toTerminal = out === undefined && Deno.stdout.isTerminal();
  const text = formatted(result, {
    format,
    raw: flags.raw === true,
    dim: out === undefined ? output.answerStyle.dim : (text) => text,
    ...(toTerminal ? { width: screenWidth() } : {}),
  });
  if (out !== undefined) {
    const size = await writeText(out, `${text}\n`, {
      ...(migrator.databases.includes(database) ? { like: migrator.pathOf(database) } : {}),
    });
    const { isCut, rows: { length: rows } } = result;
    output.json(
      { ok: true, database, rows, isCut, file: out, size } satisfies Documents["query"],
    );
    output.narrate(`${formatCount(rows, "row")} in ${printable(out)}.`);
    return;
  }
  // JSON escapes control characters. A program that reads CSV gets them unchanged.
  if (format === "json" || format === "jsonl") output.answer(printableJson(text));
  else if (format === "csv" && !toTerminal) createWriter(Deno.stdout)(`${text}\n`);
  else output.answer(text);
  if (result.rows.length === 0 && format === "table") output.narrate("No rows.");
}

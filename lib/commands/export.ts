import { isDamage, LocationError, originalError } from "../base/errors.ts";
import { ensureDirectory } from "../base/files.ts";
import { unwritable, writeAll, writeFile } from "../dump/output_file.ts";
import type { DumpContent } from "../dump/export_rows.ts";
import type { ExportControl, ExportProgress } from "../dump/export.ts";
import type { LeftOut } from "../dump/export_sql.ts";
import { formatBytes } from "../base/format.ts";
import { printable, printableLines, renderTable } from "../terminal/text.ts";
import { choiceFlag, listFlag, misuse, refuseTogether, stringFlag, withoutSlash } from "./flags.ts";
import type { Command, CommandContext, FlagValues } from "./command.ts";
import type { Documents, WrittenFile } from "./json_documents.ts";
import { followWork } from "./progress.ts";
import { violatesCheck } from "./render.ts";
import type { ViolatedCheck } from "../schema/integrity.ts";
import { outputFileOptions } from "./resolve_options.ts";

const FORMATS = ["sql", "csv", "jsonl"] as const;
type Format = (typeof FORMATS)[number];

/** `export`: writes databases as SQL, or tables as CSV or JSON Lines. */
export const command: Command = {
  name: "export",
  summary: "write a database as SQL, or its tables as CSV or JSON Lines",
  operands: "[DATABASE]",
  flags: {
    "out": {
      value: "FILE|DIR|-",
      help: "where to write (default: stdout); compressed if the name ends in .gz",
    },
    "all": { help: "export all databases into the directory --out" },
    "format": { value: FORMATS.join("|"), help: "format of the output (default: sql)" },
    "table": { value: "T", multiple: true, help: "export only this table; may be repeated" },
    "schema-only": { help: "export no rows" },
    "data-only": { help: "export only rows, for a database that already has the schema" },
    "compress": { help: "compress with gzip" },
    "force": { help: "replace files that exist" },
  },
  withoutMigrations: true,
  examples: [
    ["export trading > trading.sql", "write a database as SQL"],
    ["export --all --out dumps --compress", "write every database, compressed"],
    ["export trading --table fills --format csv > fills.csv", "write a table for a spreadsheet"],
    ["export trading --format jsonl --out rows", "write every table as JSON Lines"],
  ],
  run: async (context: CommandContext) => {
    const { output } = context;
    const request = requestOf(context);
    using work = followWork(context);
    const control = {
      signal: work.signal,
      onProgress: ({ table, done, total }: ExportProgress) =>
        work.show(`exporting ${printable(table)}`, done / total),
      onLeftOut: ({ name, what, reason }: LeftOut) => {
        work.end();
        if (what === "rows") isIncomplete = true;
        output.warn(
          `${what === "rows" ? `the rows of ${name} are` : `${name} is`} left out: ${reason}`,
        );
      },
      onViolatedCheck: ({ table, rows }: ViolatedCheck) =>
        output.warn(
          `${violatesCheck(rows, table)}; ${
            request.format === "sql" && request.content === "all"
              ? "`import` and the sqlite3 shell take the dump as it is"
              : "`import` will refuse these rows"
          }`,
        ),
    };
    let isIncomplete = false;
    const files: WrittenFile[] = [];
    const exportOne = async (database: string) => {
      // Constraints are checked first.
      work.show(`reading ${database}`, 0, 1);
      for await (const { name, stream } of streams(context, { ...request, database, control })) {
        const like = context.migrator.pathOf(database);
        files.push(await write(context, stream, { ...request, name, like }));
      }
    };
    if (request.isDirectory && request.format === "sql") {
      for (const database of request.databases) {
        await refuseFile(context, pathOf(request, `${database}.sql`));
      }
    }
    for (const [index, database] of request.databases.entries()) {
      try {
        await exportOne(database);
      } catch (thrown) {
        const error = originalError(thrown);
        // The others are still exported, as long as there is one.
        const isLast = index === request.databases.length - 1 && files.length === 0;
        if (isLast || !isDamage(error)) throw thrown;
        work.end();
        isIncomplete = true;
        output.warn(`${database} is left out: ${error.message}`);
      }
    }
    work.end();
    const code = isIncomplete ? 1 : 0;
    if (request.out === "-") return code;
    output.json({ ok: !isIncomplete, files } satisfies Documents["export"]);
    output.report(renderTable(files.map(({ file, size }) => [printable(file), formatBytes(size)])));
    return code;
  },
};

/** The request on the command line. */
interface Request {
  readonly databases: readonly string[];
  readonly format: Format;
  readonly tables: readonly string[];
  readonly content: DumpContent;
  /** Path of the one file or of the directory; `-` for stdout. */
  readonly out: string;
  readonly isDirectory: boolean;
  readonly compress: boolean;
}

function requestOf({ flags, operands, migrator, output }: CommandContext): Request {
  const databases = databasesOf(flags, operands, migrator.databases);
  const format = choiceFlag(flags, "format", FORMATS) ?? "sql";
  const tables = listFlag(flags, "table");
  refuseTogether("export", flags, ["schema-only", "data-only"]);
  const content = flags["schema-only"] ? "schema" : flags["data-only"] ? "data" : "all";
  if (format !== "sql" && content !== "all") {
    throw misuse(command, `--${content}-only is only for SQL; ${format} has only rows`);
  }
  const out = stringFlag(flags, "out") ?? "-";
  const isMany = flags.all === true || (format !== "sql" && tables.length !== 1);
  if (isMany && out === "-") {
    throw misuse(command, "the result is several files: name a directory with --out DIR");
  }
  if (output.isJson && out === "-") {
    throw misuse(command, "--json needs --out, because both would go to stdout");
  }
  const isDirectory = isMany ||
    (format !== "sql" && !/\.(csv|jsonl|ndjson)(\.gz)?$|^-$/i.test(out));
  const compress = flags.compress === true || (!isDirectory && out.endsWith(".gz"));
  if (compress && out === "-" && Deno.stdout.isTerminal()) {
    throw misuse(command, "compressed output cannot be shown on a terminal; use --out FILE");
  }
  return { databases, format, tables, content, out, isDirectory, compress };
}

function databasesOf(
  flags: FlagValues,
  operands: readonly string[],
  known: readonly string[],
): readonly string[] {
  const [database, ...others] = operands;
  if (others.length > 0) throw misuse(command, "name one database, or use --all");
  if (flags.all === true) {
    if (database !== undefined) {
      throw misuse(command, `--all and ${database} contradict each other`);
    }
    if (listFlag(flags, "table").length > 0) {
      throw misuse(command, "--table needs a database, and can't be used with --all");
    }
    return known;
  }
  if (database !== undefined) return [database];
  throw misuse(command, `name a database: ${known.join(", ")}`);
}

type Bytes = Uint8Array<ArrayBuffer>;

/** The content of one file. */
interface NamedStream {
  /** Name of the file in a directory, without the ending for compression. */
  readonly name: string;
  readonly stream: ReadableStream<Bytes>;
}

async function* streams(
  context: CommandContext,
  request: Request & { readonly database: string; readonly control: ExportControl },
): AsyncGenerator<NamedStream> {
  const { migrator } = context;
  const { database, format, tables, content, control } = request;
  if (format === "sql") {
    const stream = await migrator.exportDatabase(database, { content, tables, ...control });
    yield { name: `${database}.sql`, stream };
    return;
  }
  const directory = request.databases.length > 1 ? `${database}/` : "";
  const nameOf = (table: string) => `${directory}${fileName(table)}.${format}`;
  // Before any file is written.
  const onTables = async (names: readonly string[]) => {
    if (!request.isDirectory) return;
    for (const table of names) {
      refuseLongName(table, nameOf(table));
      await refuseFile(context, pathOf(request, nameOf(table)));
    }
  };
  const options = { format, tables, onTables, ...control };
  for await (const { name, rows } of migrator.exportTables(database, options)) {
    yield { name: nameOf(name), stream: rows };
  }
}

/** Bytes that every file system allows in a file's name, without what may follow it meanwhile. */
const LONGEST_NAME = 255 - ".gz.catalyst.part".length;

function refuseLongName(table: string, file: string): void {
  const name = file.replace(/^.*\//, "");
  if (new TextEncoder().encode(name).length <= LONGEST_NAME) return;
  throw new LocationError(
    `Cannot export table "${printable(table.slice(0, 40))}...": its name is too long for a file`,
    {
      help:
        "export it separately with --table T --out FILE.csv, and name the others with --table, too",
    },
  );
}

/** A table's name as a file name: characters that a file system may refuse are encoded as in a URL. */
function fileName(table: string): string {
  return table.replace(/[^\w .()-]|^\.|[. ]$/gu, (character) => encodeURIComponent(character));
}

async function write(
  context: CommandContext,
  stream: ReadableStream<Bytes>,
  request: Request & { readonly name: string; readonly like: string },
): Promise<WrittenFile> {
  const bytes = request.compress ? stream.pipeThrough(new CompressionStream("gzip")) : stream;
  try {
    return await writeTo(context, bytes, request);
  } catch (error) {
    // Closes the database, so that no files remain next to it.
    await bytes.cancel().catch(() => {}); // it may be what failed
    throw request.out === "-" ? unwritable("stdout", error) : error;
  }
}

/** Makes control characters visible, which a terminal would interpret. */
function forTerminal(): TransformStream<Bytes, Bytes> {
  const decoder = new TextDecoder();
  const encoder = new TextEncoder();
  return new TransformStream({
    transform(chunk, controller) {
      controller.enqueue(encoder.encode(printableLines(decoder.decode(chunk, { stream: true }))));
    },
  });
}

async function writeTo(
  context: CommandContext,
  bytes: ReadableStream<Bytes>,
  request: Request & { readonly name: string; readonly like: string },
): Promise<WrittenFile> {
  const { out, isDirectory, name, like } = request;
  if (out === "-") {
    const shown = Deno.stdout.isTerminal() ? bytes.pipeThrough(forTerminal()) : bytes;
    return { file: out, size: await writeAll(Deno.stdout, shown) };
  }
  const path = pathOf(request, name);
  if (isDirectory) {
    const use = { what: "directory of the export", flag: "--out" };
    ensureDirectory(`${withoutSlash(out)}/x`, true, use);
    ensureDirectory(path, true, use);
  }
  await refuseFile(context, path);
  return { file: path, size: await writeFile(path, bytes, { like }) };
}

function pathOf({ out, isDirectory, compress }: Request, name: string): string {
  return isDirectory ? `${withoutSlash(out)}/${name}${compress ? ".gz" : ""}` : out;
}

async function refuseFile(context: CommandContext, path: string): Promise<void> {
  await context.migrator.refuseOccupied(path, outputFileOptions(context));
}

import { AccessError, UsageError } from "../base/errors.ts";
import type { BadRow } from "../dump/import_target.ts";
import type { ImportRowsResult } from "../dump/import_rows.ts";
import { abortOnInterrupt, createProgress } from "../terminal/progress.ts";
import { formatCount, printable } from "../base/format.ts";
import { type CommandContext, stringFlag } from "./arguments.ts";
import { openSource } from "./source.ts";

/** Bad rows of which each is told. */
const TOLD = 100;

/** What is imported, and where to. */
interface TableImport {
  readonly file: string;
  readonly database: string;
  readonly format: "csv" | "jsonl";
}

/** `import` of CSV or JSON Lines: rows into a table that is there. */
export async function importTable(
  { flags, migrator, output }: CommandContext,
  { file, database, format }: TableImport,
): Promise<number> {
  const table = stringFlag(flags, "table");
  if (table === undefined) {
    throw new UsageError(
      `Cannot import ${file}: --table doesn't say which table the rows go into`,
      {
        help: "give --table T, such as --table orders",
      },
    );
  }
  const source = await openSource(file);
  using bad = badRowsInto(stringFlag(flags, "skip-bad-rows"));
  const interruption = new AbortController();
  using _listening = abortOnInterrupt(interruption);
  using progress = createProgress(output);
  const result = await migrator.importRows(source.stream, {
    database,
    table,
    format,
    label: source.label,
    backup: flags["no-backup"] !== true,
    signal: interruption.signal,
    ...(bad === null ? {} : {
      onBadRow: (row) => {
        bad.take(row);
        if (bad.count > TOLD) return;
        output.narrate(
          bad.count < TOLD
            ? `skipped line ${row.line}: ${printable(row.reason)}`
            : "skipped more lines than are told here",
        );
      },
    }),
    onProgress: (state) => {
      if (state.stage === "snapshot") {
        progress.show(`keeping ${database}`, state.done / state.total);
      } else if (source.size !== null) {
        progress.show(`importing ${source.label}`, state.bytes / (source.size || 1));
      }
    },
  });
  bad?.keep();
  progress.end();
  output.json({ ok: true, database, ...result });
  output.answer(render(result, source.label, stringFlag(flags, "skip-bad-rows")));
  return 0;
}

/** Where bad rows are written. */
interface BadRowFile extends Disposable {
  /** Number of rows that it has. */
  readonly count: number;
  take(bad: BadRow): void;
  /** Says that they are to stay, since the others are in. */
  keep(): void;
}

/** Makes the file when the first bad row comes; it is gone again where nothing was imported. */
function badRowsInto(path: string | undefined): BadRowFile | null {
  if (path === undefined) return null;
  const encoder = new TextEncoder();
  let file: Deno.FsFile | null = null;
  let isKept = false;
  let count = 0;
  const write = (text: string) => {
    let rest: Uint8Array = encoder.encode(`${text}\n`);
    while (rest.length > 0) rest = rest.subarray(file?.writeSync(rest) ?? rest.length);
  };
  return {
    get count() {
      return count;
    },
    take({ text, header }) {
      count++;
      if (file === null) {
        file = create(path);
        if (header !== null) write(header);
      }
      write(text);
    },
    keep: () => isKept = true,
    [Symbol.dispose]() {
      file?.close();
      if (file !== null && !isKept) Deno.removeSync(path);
    },
  };
}

function create(path: string): Deno.FsFile {
  try {
    return Deno.openSync(path, { write: true, createNew: true });
  } catch (error) {
    const message = error instanceof Deno.errors.AlreadyExists
      ? "it is there already"
      : error instanceof Error
      ? error.message
      : String(error);
    throw new AccessError(`Cannot write bad rows to ${path}: ${message}`, {
      cause: error,
      help: "name another file with --skip-bad-rows; nothing was imported",
    });
  }
}

function render(result: ImportRowsResult, label: string, badRows: string | undefined): string {
  const { table, rows, skipped, snapshot } = result;
  return [
    `Imported ${formatCount(rows, "row")} of ${printable(label)} into ${printable(table)}.`,
    ...skipped === 0 || badRows === undefined
      ? []
      : [`${formatCount(skipped, "bad row")} went to ${printable(badRows)}.`],
    ...snapshot === null
      ? []
      : [`How it was before is in snapshot ${snapshot}; \`restore ${snapshot}\` goes back.`],
  ].join("\n");
}

import { readColumns } from "../schema/tables.ts";
import { UsageError } from "../base/errors.ts";
import { didYouMean } from "../base/format.ts";
import { type Connection, number, type SqlValue, text } from "../database/connection.ts";
import { type Affinity, affinityOf } from "../schema/model.ts";
import { fold, quoteName } from "../sql/tokens.ts";
import { DumpFault } from "./import_source.ts";

/** A row that is to be put into the table. */
export interface GoodRow {
  /** Line on which it begins; the first is 1. */
  readonly line: number;
  /** The row as it stands in the file. */
  readonly text: string;
  /** Where its values go; the same array for all rows of the same columns. */
  readonly columns: readonly TargetColumn[];
  readonly values: readonly SqlValue[];
}

/** A row that can't be put into the table. */
export interface BadRow {
  /** Line on which it begins; the first is 1. */
  readonly line: number;
  /** Why it can't. */
  readonly reason: string;
  /** The row as it stands in the file. */
  readonly text: string;
  /** The header of a CSV file as it stands there, so that bad rows can make a file; else null. */
  readonly header: string | null;
}

/** A row of the file, good or bad. */
export type ParsedRow = GoodRow | BadRow;

/** Makes rows of text, which is given in pieces of any size. */
export interface RowParser {
  /** The header of a CSV file, once it is there. */
  readonly header: string | null;
  /** Line on which the text given so far ends. */
  readonly line: number;
  push(text: string): ParsedRow[];
  end(): ParsedRow[];
}

/** A column into which values are put. */
export interface TargetColumn {
  readonly name: string;
  /** The type as it is declared; empty where none is. */
  readonly type: string;
  readonly affinity: Affinity;
  /** Whether text that is no number is surely a mistake there. */
  readonly wantsNumber: boolean;
  /** Whether SQLite computes it: what the data say of it is left out. */
  readonly isGenerated: boolean;
}

/** A table into which rows are put. */
export interface ImportTarget {
  /** Its name as it is declared. */
  readonly table: string;
  readonly columns: readonly TargetColumn[];
  /** Whether what a row's statement does may be more than the row, by a trigger or a virtual table. */
  readonly hasEffects: boolean;
  /** Whether rows may point to others of the same table, which may come later. */
  readonly hasParents: boolean;
}

/** Reads what is to be known of a table. */
export async function readTarget(connection: Connection, wanted: string): Promise<ImportTarget> {
  const tables = await connection.all(
    `SELECT name, type, wr AS without_rowid, strict FROM pragma_table_list
    WHERE schema = 'main' AND type IN ('table', 'virtual') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'`,
  );
  const found = tables.find((row) => fold(text(row, "name")) === fold(wanted));
  if (found === undefined) {
    throw unknownTable(connection.label, wanted, tables.map((row) => text(row, "name")));
  }
  const table = text(found, "name");
  const isStrict = number(found, "strict") === 1;
  const columns = (await readColumns(connection, table)).filter(({ kind }) => kind !== "hidden")
    .map(({ name, type, kind }) =>
      column(name, type, { isStrict, isGenerated: kind !== "ordinary" })
    );
  if (number(found, "without_rowid") === 0 && !columns.some(({ name }) => fold(name) === "rowid")) {
    columns.push(column("rowid", "INTEGER", { isStrict, isGenerated: false }));
  }
  const links = await connection.get(
    `SELECT
        EXISTS (
            SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE
        ) AS triggers,
        EXISTS (
            SELECT 1 FROM pragma_foreign_key_list(?1) WHERE "table" = ?1 COLLATE NOCASE
        ) AS parents`,
    [table],
  );
  return {
    table,
    columns,
    hasEffects: links?.["triggers"] === 1 || text(found, "type") === "virtual",
    hasParents: links?.["parents"] === 1,
  };
}

function column(
  name: string,
  type: string,
  { isStrict, isGenerated }: { readonly isStrict: boolean; readonly isGenerated: boolean },
): TargetColumn {
  const affinity = affinityOf(type, isStrict);
  // SQLite calls every other type numeric too, such as DATE or JSON, which hold text.
  const wantsNumber = affinity === "INTEGER" || affinity === "REAL" ||
    (affinity === "NUMERIC" && /NUM|DEC/i.test(type));
  return { name, type, affinity, wantsNumber, isGenerated };
}

function unknownTable(label: string, wanted: string, names: readonly string[]): UsageError {
  return new UsageError(`Cannot import into table "${wanted}": ${label} has none of that name`, {
    help: `${didYouMean(wanted, names)}${
      names.length === 0
        ? "it has no tables; `upgrade` creates them"
        : `its tables are ${names.toSorted().join(", ")}`
    }`,
  });
}

/** Columns of a target by the names that the data use. */
export class ColumnFinder {
  readonly #target: ImportTarget;
  readonly #byName: ReadonlyMap<string, TargetColumn>;

  constructor(target: ImportTarget) {
    this.#target = target;
    this.#byName = new Map(target.columns.map((one) => [fold(one.name), one]));
  }

  /**
   * The columns of some names.
   *
   * @throws {DumpFault} where one is unknown, or named twice.
   */
  find(names: readonly string[], line: number): readonly TargetColumn[] {
    const columns = names.map((name) => this.#byName.get(fold(name)) ?? this.#refuse(name, line));
    const twice = columns.find((one, index) => columns.indexOf(one) !== index);
    if (twice === undefined) return columns;
    throw new DumpFault(`column "${twice.name}" is there twice`, { line });
  }

  #refuse(name: string, line: number): never {
    const names = this.#target.columns.map((one) => one.name);
    throw new DumpFault(`table "${this.#target.table}" has no column "${shortened(name)}"`, {
      line,
      help: `${didYouMean(name, names)}its columns are ${names.join(", ")}`,
    });
  }
}

/** Characters of the data that a message shows. */
const SHOWN = 40;

/** A text of the data, short enough for a message. */
function shortened(text: string): string {
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}...` : text;
}

/** The statement that puts so many rows into some columns. What is there is never replaced. */
export function insertSql(
  { table }: ImportTarget,
  columns: readonly TargetColumn[],
  rows: number,
): string {
  const into = `INSERT OR ABORT INTO ${quoteName(table)}`;
  if (columns.length === 0) return `${into} DEFAULT VALUES`;
  const names = columns.map(({ name }) => quoteName(name)).join(", ");
  const row = `(${columns.map(() => "?").join(", ")})`;
  return `${into} (${names}) VALUES ${Array.from({ length: rows }, () => row).join(", ")}`;
}

/** A number as SQLite takes it from text for a column of numbers; only this white space is any to it. */
const NUMBER = /^[\t-\r ]*[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?[\t-\r ]*$/i;

/** A number as JSON and SQL write it. What else looks like one, such as `007`, is rather a text. */
const PLAIN_NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:e[+-]?\d+)?$/i;

/** What a field of a CSV file stands for; undefined where it is not a value for the column. */
export function csvValue(
  text: string,
  isQuoted: boolean,
  column: TargetColumn,
): SqlValue | undefined {
  if (!isQuoted) {
    if (text === "") return null;
    const blob = blobOf(text);
    if (blob !== null) return blob;
  }
  switch (column.affinity) {
    case "TEXT":
      return text;
    case "BLOB":
      return !isQuoted && PLAIN_NUMBER.test(text) ? exactNumber(text) : text;
    default:
      if (NUMBER.test(text)) return storedNumber(text);
      return isQuoted || !column.wantsNumber ? text : undefined;
  }
}

/** Why {@link csvValue} found no value. */
export function notANumber(text: string, { name, type }: TargetColumn): string {
  return `column "${name}" (${type}): "${shortened(text)}" is not a number`;
}

/** A blob is written as SQL writes it: `x'0a1b'`. */
function blobOf(text: string): Uint8Array | null {
  const isLiteral = text.charCodeAt(1) === 39 && /^x/i.test(text) && text.length > 2 &&
    text.endsWith("'");
  return isLiteral ? bytesOf(text.slice(2, -1)) : null;
}

function bytesOf(hex: string): Uint8Array | null {
  try {
    return Uint8Array.fromHex(hex);
  } catch {
    return null;
  }
}

/**
 * A number for a column of numbers, which makes integers of what has no fraction: bound as a double
 * where that is exact, which is quicker.
 */
function storedNumber(text: string): number | bigint {
  const number = Number(text);
  return Number.isSafeInteger(number) || !Number.isInteger(number) ? number : exactNumber(text);
}

/** An integer, if it is written as one and SQLite has room for it; else a double. */
function exactNumber(text: string): number | bigint {
  if (/^\s*[+-]?\d+\s*$/.test(text)) {
    // BigInt takes no plus sign.
    const integer = BigInt(text.replace("+", ""));
    if (BigInt.asIntN(64, integer) === integer) return integer;
  }
  return Number(text);
}

/** JSON.parse tells of a number how it was written, and keeps it so; the type declarations lack it. */
interface RawJson {
  readonly rawJSON: string;
}
const { rawJSON } = JSON as unknown as { rawJSON(text: string): RawJson };

/** Parses a JSON text so that {@link jsonValue} can tell each number exactly; takes longer. */
export function parseExactly(text: string): unknown {
  const reviver = (_: string, value: unknown, context?: { readonly source?: string }): unknown =>
    typeof value === "number" && context?.source !== undefined ? rawJSON(context.source) : value;
  return JSON.parse(text, reviver);
}

/**
 * What a value of a JSON object stands for; undefined where that can be told only of a text that is
 * parsed by {@link parseExactly}.
 */
export function jsonValue(value: unknown, { affinity }: TargetColumn): SqlValue | undefined {
  switch (typeof value) {
    case "string":
      return value;
    case "boolean":
      return value ? 1n : 0n;
    case "number": {
      const isExact = affinity === "REAL" ||
        (affinity !== "TEXT" && affinity !== "BLOB" &&
          (Number.isSafeInteger(value) || !Number.isInteger(value)));
      return isExact ? value : undefined;
    }
    default:
      return value === null ? null : objectValue(value as object);
  }
}

function objectValue(value: object): SqlValue | undefined {
  if ("hex" in value && typeof value.hex === "string" && Object.keys(value).length === 1) {
    const bytes = bytesOf(value.hex);
    if (bytes !== null) return bytes;
  }
  return undefined;
}

/** As {@link jsonValue}, of a text that was parsed by {@link parseExactly}. */
export function exactJsonValue(value: unknown, column: TargetColumn): SqlValue {
  if (isRaw(value)) return exactNumber(value.rawJSON);
  return jsonValue(value, column) ?? (value === null ? null : JSON.stringify(value));
}

function isRaw(value: unknown): value is RawJson {
  return (JSON as unknown as { isRawJSON(value: unknown): boolean }).isRawJSON(value);
}

import { type Affinity, affinityOf, isNumberColumn, readColumns } from "../schema/model.ts";
import { UsageError } from "../base/errors.ts";
import { didYouMean } from "../base/format.ts";
import { type Connection, number, type SqlValue, text } from "../database/connection.ts";
import { fold, quoteName } from "../sql/tokens.ts";
import { DumpFault } from "./import_source.ts";

/** A row to insert into the table. */
export interface GoodRow {
  /** Line on which it begins, counted from 1. */
  readonly line: number;
  /** The row as written in the file. */
  readonly text: string;
  /** Columns of its values; the same array for all rows with the same columns. */
  readonly columns: readonly TargetColumn[];
  readonly values: readonly SqlValue[];
}

/** A row that can't be inserted into the table. */
export interface BadRow {
  /** Line on which it begins, counted from 1. */
  readonly line: number;
  /** The reason. */
  readonly reason: string;
  /** The row as written in the file. */
  readonly text: string;
  /**
   * The header of a CSV file as written, so that bad rows can be saved to a file; otherwise null.
   */
  readonly header: string | null;
}

/** A row of the file, good or bad. */
export type ParsedRow = GoodRow | BadRow;

/** Parses text, given in pieces of any size, into rows. */
export interface RowParser {
  /** The header of a CSV file, once read. */
  readonly header: string | null;
  /** Line on which the text given so far ends. */
  readonly line: number;
  push(text: string): ParsedRow[];
  end(): ParsedRow[];
}

/** A column that receives values. */
export interface TargetColumn {
  readonly name: string;
  /** The declared type; empty if there is none. */
  readonly type: string;
  readonly affinity: Affinity;
  /** Whether text that is not a number is certainly a mistake. */
  readonly wantsNumber: boolean;
  /** Whether `true` and `false` stand for 1 and 0. */
  readonly takesTruth: boolean;
  /** Whether SQLite computes it, so that the file's values are ignored. */
  readonly isGenerated: boolean;
}

/** A table that receives rows. */
export interface ImportTarget {
  /** Its name as declared. */
  readonly table: string;
  readonly columns: readonly TargetColumn[];
  /**
   * Whether a row's statement may do more than insert the row, through a trigger or a virtual
   * table.
   */
  readonly hasEffects: boolean;
  /** Whether rows may reference others of the same table, which may follow later. */
  readonly hasParents: boolean;
}

/** Reads what is needed to know about a table. */
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
  const isBoolean = affinity === "NUMERIC" && /BOOL/i.test(type);
  const wantsNumber = isNumberColumn(type, isStrict);
  const takesTruth = isBoolean || affinity === "INTEGER";
  return { name, type, affinity, wantsNumber, takesTruth, isGenerated };
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

/** Columns of a target by the names in the file. */
export class ColumnFinder {
  readonly #target: ImportTarget;
  readonly #byName: ReadonlyMap<string, TargetColumn>;

  constructor(target: ImportTarget) {
    this.#target = target;
    this.#byName = new Map(target.columns.map((one) => [fold(one.name), one]));
  }

  /**
   * The columns with some names.
   *
   * @throws {DumpFault} if one is unknown, or named twice.
   */
  find(names: readonly string[], line: number): readonly TargetColumn[] {
    const columns = names.map((name) => this.#byName.get(fold(name)) ?? this.#refuse(name, line));
    const twice = columns.find((one, index) => columns.indexOf(one) !== index);
    if (twice === undefined) return columns;
    throw new DumpFault(`column "${twice.name}" occurs twice`, { line });
  }

  #refuse(name: string, line: number): never {
    const names = this.#target.columns.map((one) => one.name);
    throw new DumpFault(`table "${this.#target.table}" has no column "${shortened(name)}"`, {
      line,
      help: `${didYouMean(name, names)}its columns are ${names.join(", ")}`,
    });
  }
}

/** Characters of the data in a message. */
const SHOWN = 40;

/** A text of the data, short enough for a message. */
function shortened(text: string): string {
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}...` : text;
}

/** The statement that inserts this many rows into some columns. It never replaces existing rows. */
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

/**
 * A number as SQLite accepts it from text for a numeric column, with the white space that SQLite
 * recognizes.
 */
const NUMBER = /^[\t-\r ]*[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?[\t-\r ]*$/i;

/** A number as JSON and SQL write it. Other digits, such as `007`, are treated as text. */
const PLAIN_NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:e[+-]?\d+)?$/i;

/**
 * The value of a CSV field; undefined if it is not a valid value for the column. Quotes only
 * distinguish empty text from NULL, and a text that looks like a blob from a blob.
 */
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
      return !isQuoted && PLAIN_NUMBER.test(text) ? exactNumber(text) ?? text : text;
    default:
      return numericValue(text, column);
  }
}

/** How a dump writes infinite numbers. */
const INFINITE = /^-?9\.0e\+999$/;

/** The value of a text in a numeric column; undefined if it is not a number. */
function numericValue(text: string, column: TargetColumn): SqlValue | undefined {
  const { wantsNumber, takesTruth, affinity } = column;
  if (!NUMBER.test(text)) {
    if (!wantsNumber) return text;
    if (text === "") return null;
    // As an export marks a text in such a column.
    const marked = /^'((?:[^']|'')*)'$/.exec(text)?.[1];
    if (marked !== undefined) return marked.replaceAll("''", "'");
    const truth = takesTruth ? /^(true|false)$/i.exec(text)?.[1] : undefined;
    return truth === undefined ? undefined : truth.toLowerCase() === "true" ? 1 : 0;
  }
  const number = Number(text);
  if (Number.isSafeInteger(number)) return number;
  const exact = exactNumber(text);
  if (exact !== undefined) return exact;
  // Too large for a 64-bit integer: only valid in a column of doubles.
  return affinity === "REAL" && Number.isFinite(number) ? number : wantsNumber ? undefined : text;
}

/** Why {@link csvValue} found no value. */
export function notANumber(text: string, { name, type }: TargetColumn): string {
  return `column "${name}" (${type}): "${shortened(text)}" is not a number`;
}

/** A blob is written as in SQL: `x'0a1b'`. */
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

/** A number as written; undefined if neither a 64-bit integer nor a double can hold it. */
function exactNumber(text: string): number | bigint | undefined {
  if (/^\s*[+-]?\d+\s*$/.test(text)) {
    // BigInt does not accept a plus sign.
    const integer = BigInt(text.replace("+", ""));
    return BigInt.asIntN(64, integer) === integer ? integer : undefined;
  }
  const number = Number(text);
  return Number.isFinite(number) || INFINITE.test(text) ? number : undefined;
}

/**
 * JSON.parse can report how a number was written, and keep it so; the type declarations lack this.
 */
interface RawJson {
  readonly rawJSON: string;
}
const { rawJSON } = JSON as unknown as { rawJSON(text: string): RawJson };

/** Parses a JSON text so that {@link jsonValue} can read each number exactly; slower. */
export function parseExactly(text: string): unknown {
  const reviver = (_: string, value: unknown, context?: { readonly source?: string }): unknown =>
    typeof value === "number" && context?.source !== undefined ? rawJSON(context.source) : value;
  return JSON.parse(text, reviver);
}

/**
 * The value of a JSON value; undefined if it requires {@link parseExactly}, or is not valid for the
 * column.
 */
export function jsonValue(value: unknown, column: TargetColumn): SqlValue | undefined {
  const { affinity, wantsNumber, takesTruth } = column;
  switch (typeof value) {
    case "string":
      return wantsNumber ? numericValue(value, column) : value;
    case "boolean":
      return wantsNumber && !takesTruth ? undefined : value ? 1n : 0n;
    case "number": {
      const isExact = (affinity === "REAL" && Number.isFinite(value)) ||
        (affinity !== "TEXT" && affinity !== "BLOB" &&
          (Number.isSafeInteger(value) || !Number.isInteger(value)));
      return isExact && Number.isFinite(value) ? value : undefined;
    }
    default:
      return value === null ? null : objectValue(value as object, column);
  }
}

function objectValue(value: object, { wantsNumber }: TargetColumn): SqlValue | undefined {
  if (wantsNumber && "text" in value && typeof value.text === "string") return value.text;
  if ("hex" in value && typeof value.hex === "string" && Object.keys(value).length === 1) {
    const bytes = bytesOf(value.hex);
    if (bytes !== null) return bytes;
  }
  return undefined;
}

/**
 * Like {@link jsonValue}, for a text parsed by {@link parseExactly}; undefined if it is not valid
 * for the column.
 */
export function exactJsonValue(value: unknown, column: TargetColumn): SqlValue | undefined {
  if (!isRaw(value)) {
    const found = jsonValue(value, column);
    if (found !== undefined || column.wantsNumber) return found;
    return value === null ? null : JSON.stringify(value);
  }
  const { rawJSON: text } = value;
  const exact = exactNumber(text);
  if (exact !== undefined) return exact;
  if (column.affinity === "TEXT") return text;
  const number = Number(text);
  return column.affinity === "REAL" && Number.isFinite(number) ? number : undefined;
}

function isRaw(value: unknown): value is RawJson {
  return (JSON as unknown as { isRawJSON(value: unknown): boolean }).isRawJSON(value);
}

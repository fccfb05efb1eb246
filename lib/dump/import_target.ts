import { UsageError } from "../base/errors.ts";
import { didYouMean } from "../base/format.ts";
import { type Connection, number, type SqlValue, text } from "../database/connection.ts";
import { type Affinity, affinityOf, isNumberColumn } from "../schema/model.ts";
import { readColumns } from "../schema/tables.ts";
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
        ? "it has no tables; migrations create them"
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
export function shortened(text: string): string {
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

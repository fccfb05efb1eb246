import type { SqlValue } from "../../database/connection.ts";
import { CsvReader, type CsvRecord } from "../import_csv.ts";
import { DumpFault } from "./fault.ts";
import type { ParsedRow, RowParser } from "./row_parser.ts";
import { ColumnFinder, type Target, type TargetColumn } from "../import_target.ts";
import { csvValue, notANumber } from "./row_values.ts";

/** Makes rows for a table of CSV text: the first line names the columns. */
export class CsvRows implements RowParser {
  readonly #reader = new CsvReader();
  readonly #finder: ColumnFinder;
  #header: string | null = null;
  /** The columns as the header names them. */
  #named: readonly TargetColumn[] = [];
  /** Those of them that take a value. */
  #columns: readonly TargetColumn[] = [];

  constructor(target: Target) {
    this.#finder = new ColumnFinder(target);
  }

  get header(): string | null {
    return this.#header;
  }

  get line(): number {
    return this.#reader.line;
  }

  push(text: string): ParsedRow[] {
    return this.#rows(this.#reader.push(text));
  }

  end(): ParsedRow[] {
    return this.#rows(this.#reader.end());
  }

  #rows(records: readonly CsvRecord[]): ParsedRow[] {
    const rows: ParsedRow[] = [];
    for (const record of records) {
      if (this.#header === null) this.#readHeader(record);
      // In a table of one column an empty line is a row whose value is NULL.
      else if (record.text !== "" || this.#named.length === 1) rows.push(this.#row(record));
    }
    return rows;
  }

  #readHeader({ fields, quoted, text, line, problem }: CsvRecord): void {
    if (text === "") return;
    if (problem !== null) throw new DumpFault(problem, { line });
    const names = fields.map((name, index) => quoted[index] ? name : name.trim());
    this.#named = this.#finder.find(names, line);
    this.#columns = this.#named.filter(({ isGenerated }) => !isGenerated);
    this.#header = text;
  }

  #row({ line, text, fields, quoted, problem }: CsvRecord): ParsedRow {
    const bad = (reason: string): ParsedRow => ({ line, reason, text, header: this.#header });
    if (problem !== null) return bad(problem);
    const named = this.#named;
    if (fields.length !== named.length) {
      return bad(`it has ${counted(fields.length)}, and the header has ${named.length}`);
    }
    const values: SqlValue[] = [];
    for (const [index, column] of named.entries()) {
      if (column.isGenerated) continue;
      const field = fields[index] ?? "";
      const value = csvValue(field, quoted[index] ?? false, column);
      if (value === undefined) return bad(notANumber(field, column));
      values.push(value);
    }
    return { line, text, columns: this.#columns, values };
  }
}

function counted(fields: number): string {
  return fields === 1 ? "1 field" : `${fields} fields`;
}

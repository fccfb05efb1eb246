import type { SqlValue } from "../database/connection.ts";
import { DumpFault } from "./import_source.ts";
import {
  ColumnFinder,
  type ImportTarget,
  type ParsedRow,
  type RowParser,
  type TargetColumn,
} from "./import_target.ts";
import { csvValue, notANumber } from "./import_values.ts";

/** One record of a CSV text. */
export interface CsvRecord {
  /** Line on which it begins, counted from 1. */
  readonly line: number;
  /** The record as written, without its line break. */
  readonly text: string;
  readonly fields: readonly string[];
  /** Which fields are quoted: `""` is then empty text; an unquoted empty field is NULL. */
  readonly quoted: readonly boolean[];
  /** The error in it; null if there is none. */
  readonly problem: string | null;
}

/** Maximum characters of a record; a longer one has an unclosed quote. */
const LONGEST = 2 ** 28;

const QUOTE = 34;
const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;

/**
 * Splits CSV text, given in pieces of any size, into records. Fields are separated by commas, or by
 * semicolons or tabs if the first line has more of those. A quoted field may contain anything; a
 * double quote in it is doubled. A first line such as `sep=;` sets the separator. Lines end in LF,
 * CRLF or CR.
 */
export class CsvReader {
  #text = "";
  #line = 1;
  #layout: Layout | null = null;
  /** Length of text below which it isn't scanned again: a long record arrives in many pieces. */
  #enough = 0;

  /** Adds a piece of text; returns the records that are now complete. */
  push(text: string): CsvRecord[] {
    this.#text += text;
    const { length } = this.#text;
    if (length < this.#enough && length <= LONGEST) return [];
    const records = this.#read(false);
    if (this.#text.length > LONGEST) throw unclosed(this.#line);
    this.#enough = 2 * this.#text.length;
    return records;
  }

  /**
   * The remaining records.
   *
   * @throws {DumpFault} if the text ends inside of double quotes.
   */
  end(): CsvRecord[] {
    const records = this.#read(true);
    if (this.#text !== "") throw unclosed(this.#line);
    return records;
  }

  /** Line on which the text given so far ends. */
  get line(): number {
    return this.#line + countBreaks(this.#text, {
      from: 0,
      to: this.#text.length,
      lineBreak: this.#layout?.lineBreak ?? "\n",
    });
  }

  #read(isLast: boolean): CsvRecord[] {
    if (this.#layout === null) {
      const found = layoutOf(this.#text, isLast);
      if (found === null) return [];
      this.#layout = found.layout;
      this.#text = this.#text.slice(found.start);
      if (found.start > 0) this.#line++;
    }
    const { records, next, line } = scan(this.#text, {
      ...this.#layout,
      line: this.#line,
      isLast,
    });
    this.#text = this.#text.slice(next);
    this.#line = line;
    return records;
  }
}

function unclosed(line: number): DumpFault {
  return new DumpFault("a double quote in this row is never closed", {
    line,
    help: "the file was truncated, or a quote inside a quoted field must be doubled",
  });
}

/** The layout of a CSV text. */
interface Layout {
  /** Separator of the fields. */
  readonly delimiter: string;
  /** End of a line: LF, optionally after a CR, or CR alone. */
  readonly lineBreak: "\n" | "\r";
}

interface ScanOptions extends Layout {
  /** Line on which the text begins. */
  readonly line: number;
  /** Whether no more text follows. */
  readonly isLast: boolean;
}

interface Scan {
  readonly records: CsvRecord[];
  /** Where the first incomplete record begins. */
  readonly next: number;
  /** Line of that position. */
  readonly line: number;
}

function scan(text: string, { delimiter, lineBreak, line, isLast }: ScanOptions): Scan {
  const records: CsvRecord[] = [];
  const length = text.length;
  const delimiterCode = delimiter.charCodeAt(0);
  const find = (what: string, from: number): number => {
    const found = text.indexOf(what, from);
    return found === -1 ? length : found;
  };
  // Each is searched for only after the previous one is passed, so the text is searched once.
  let nextDelimiter = -1;
  let nextBreak = -1;
  let start = 0;
  records: while (start < length) {
    const fields: string[] = [];
    const quoted: boolean[] = [];
    let hasQuotes = false;
    let problem: string | null = null;
    let at = start;
    for (;;) {
      if (text.charCodeAt(at) === QUOTE) {
        hasQuotes = true;
        const close = closingQuote(text, at);
        if (close === -1) break records;
        const field = text.slice(at + 1, close);
        fields.push(field.includes('"') ? field.replaceAll('""', '"') : field);
        quoted.push(true);
        at = close + 1;
        const code = text.charCodeAt(at);
        if (code === delimiterCode) {
          at++;
          continue;
        }
        if (nextBreak < at) nextBreak = find(lineBreak, at);
        if (nextBreak === length && !isLast) break records;
        if (endOfLine(text, at, nextBreak) !== at) {
          problem = `unexpected text after a closing double quote: ${
            JSON.stringify(text.slice(at, at + 1))
          }`;
        }
      } else {
        if (nextDelimiter < at) nextDelimiter = find(delimiter, at);
        if (nextBreak < at) nextBreak = find(lineBreak, at);
        const isField = nextDelimiter < nextBreak;
        if (!isField && nextBreak === length && !isLast) break records;
        const end = isField ? nextDelimiter : endOfLine(text, at, nextBreak);
        fields.push(text.slice(at, end));
        quoted.push(false);
        if (isField) {
          at = nextDelimiter + 1;
          continue;
        }
      }
      const end = endOfLine(text, start, nextBreak);
      records.push({ line, text: text.slice(start, end), fields, quoted, problem });
      line += 1 + (hasQuotes ? countBreaks(text, { from: start, to: nextBreak, lineBreak }) : 0);
      start = nextBreak + 1;
      break;
    }
  }
  return { records, next: Math.min(start, length), line };
}

/** The quote that closes the one at `open`; -1 if there is none. */
function closingQuote(text: string, open: number): number {
  let close = text.indexOf('"', open + 1);
  while (close !== -1 && text.charCodeAt(close + 1) === QUOTE) close = text.indexOf('"', close + 2);
  return close;
}

/** Where a line ends whose LF is at `lineBreak`: a preceding CR belongs to the line break. */
function endOfLine(text: string, from: number, lineBreak: number): number {
  const hasReturn = lineBreak > from && text.charCodeAt(lineBreak - 1) === CARRIAGE_RETURN;
  return hasReturn ? lineBreak - 1 : lineBreak;
}

interface BreakRange {
  readonly from: number;
  readonly to: number;
  readonly lineBreak: string;
}

function countBreaks(text: string, { from, to, lineBreak }: BreakRange): number {
  let count = 0;
  let at = text.indexOf(lineBreak, from);
  for (; at !== -1 && at < to; at = text.indexOf(lineBreak, at + 1)) count++;
  return count;
}

/**
 * The layout of a text, according to its first line, and where its records begin; null if that line
 * is incomplete.
 */
function layoutOf(
  text: string,
  isLast: boolean,
): { readonly layout: Layout; readonly start: number } | null {
  const end = firstLineEnd(text, isLast);
  if (end === null) return null;
  const lineBreak = text.charCodeAt(end) === CARRIAGE_RETURN &&
      text.charCodeAt(end + 1) !== LINE_FEED
    ? "\r"
    : "\n";
  const first = text.slice(0, end);
  // This line tells Excel the separator of the following lines.
  const [, told] = /^"?sep=(.)"?$/i.exec(first) ?? [];
  if (told === undefined) return { layout: { delimiter: delimiterOf(first), lineBreak }, start: 0 };
  const next = text.indexOf(lineBreak, end);
  return { layout: { delimiter: told, lineBreak }, start: next === -1 ? text.length : next + 1 };
}

/** Where the first line ends, without its line break; null if it is incomplete. */
function firstLineEnd(text: string, isLast: boolean): number | null {
  let isQuoted = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) isQuoted = !isQuoted;
    else if (isQuoted) continue;
    else if (code === LINE_FEED) return at;
    // The next character shows whether it ends the line alone.
    else if (code === CARRIAGE_RETURN && (at + 1 < text.length || isLast)) return at;
  }
  return isLast ? text.length : null;
}

/** The separator of the fields, according to the first line. */
function delimiterOf(line: string): string {
  const counts = new Map([[",", 0], [";", 0], ["\t", 0]]);
  let isQuoted = false;
  for (const character of line) {
    if (character === '"') isQuoted = !isQuoted;
    const count = isQuoted ? undefined : counts.get(character);
    if (count !== undefined) counts.set(character, count + 1);
  }
  return [...counts].reduce((best, one) => one[1] > best[1] ? one : best)[0];
}

/** Parses CSV text into rows for a table: the first line names the columns. */
export class CsvRows implements RowParser {
  readonly #reader = new CsvReader();
  readonly #finder: ColumnFinder;
  #header: string | null = null;
  /** The columns in the order of the header. */
  #named: readonly TargetColumn[] = [];
  /** Those of them that take a value. */
  #columns: readonly TargetColumn[] = [];

  constructor(target: ImportTarget) {
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
      // In a table with one column an empty line is a row with NULL.
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
      return bad(`it has ${counted(fields.length)}, but the header has ${named.length}`);
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

import type { SqlValue } from "../database/connection.ts";
import { DumpFault } from "./import_source.ts";
import {
  ColumnFinder,
  csvValue,
  type ImportTarget,
  notANumber,
  type ParsedRow,
  type RowParser,
  type TargetColumn,
} from "./import_target.ts";

/** One record of a CSV text. */
export interface CsvRecord {
  /** Line on which it begins; the first is 1. */
  readonly line: number;
  /** The record as it stands there, without the line break after it. */
  readonly text: string;
  readonly fields: readonly string[];
  /** Which fields are in double quotes: `""` is empty text there, and nothing is NULL. */
  readonly quoted: readonly boolean[];
  /** What is wrong with it; null where nothing is. */
  readonly problem: string | null;
}

/** Characters of one record, above which a quote must have been left open. */
const LONGEST = 2 ** 28;

const QUOTE = 34;
const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;

/**
 * Cuts CSV text, given in pieces of any size, into records. Fields are separated by a comma, or by a
 * semicolon or tab where the first line has more of those; a field in double quotes may hold
 * anything, a double quote twice. A first line such as `sep=;` names the separator. Lines end in LF,
 * CRLF or CR.
 */
export class CsvReader {
  #text = "";
  #line = 1;
  #layout: Layout | null = null;
  /** Length of text below which it isn't looked through again: a long record comes in many pieces. */
  #enough = 0;

  /** Takes a piece of text; returns the records that are complete now. */
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
   * The records of what is left.
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
  return new DumpFault("a double quote is opened in this row and never closed", {
    line,
    help: "the file was cut short, or a quote inside of a quoted field must be doubled",
  });
}

/** How a CSV text is written. */
interface Layout {
  /** What separates the fields. */
  readonly delimiter: string;
  /** What ends a line: LF, before which a CR may stand, or CR alone. */
  readonly lineBreak: "\n" | "\r";
}

interface ScanOptions extends Layout {
  /** Line on which the text begins. */
  readonly line: number;
  /** Whether no text follows. */
  readonly isLast: boolean;
}

interface Scan {
  readonly records: CsvRecord[];
  /** Where the first record begins that isn't complete. */
  readonly next: number;
  /** Line of that. */
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
  // Each is looked for only when the former one is passed, so all looking is done once.
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
          problem = `after a closing double quote comes ${JSON.stringify(text.slice(at, at + 1))}`;
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

/** The quote that closes the one at `open`; -1 where there is none. */
function closingQuote(text: string, open: number): number {
  let close = text.indexOf('"', open + 1);
  while (close !== -1 && text.charCodeAt(close + 1) === QUOTE) close = text.indexOf('"', close + 2);
  return close;
}

/** Where a line ends whose LF is at `lineBreak`: a CR before it belongs to the break. */
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

/** How a text is written, as its first line shows, and where its records begin; null where that line isn't complete. */
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
  // With this line Excel is told what separates the fields of the others.
  const [, told] = /^"?sep=(.)"?$/i.exec(first) ?? [];
  if (told === undefined) return { layout: { delimiter: delimiterOf(first), lineBreak }, start: 0 };
  const next = text.indexOf(lineBreak, end);
  return { layout: { delimiter: told, lineBreak }, start: next === -1 ? text.length : next + 1 };
}

/** Where the first line ends, without its line break; null where that hasn't come yet. */
function firstLineEnd(text: string, isLast: boolean): number | null {
  let isQuoted = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) isQuoted = !isQuoted;
    else if (isQuoted) continue;
    else if (code === LINE_FEED) return at;
    // What comes after it says whether it ends the line by itself.
    else if (code === CARRIAGE_RETURN && (at + 1 < text.length || isLast)) return at;
  }
  return isLast ? text.length : null;
}

/** What separates the fields, as the first line shows. */
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

/** Makes rows for a table of CSV text: the first line names the columns. */
export class CsvRows implements RowParser {
  readonly #reader = new CsvReader();
  readonly #finder: ColumnFinder;
  #header: string | null = null;
  /** The columns as the header names them. */
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

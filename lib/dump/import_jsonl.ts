import { messageOf } from "../base/format.ts";
import type { SqlValue } from "../database/connection.ts";
import { DumpFault } from "./import_source.ts";
import {
  ColumnFinder,
  type ImportTarget,
  type ParsedRow,
  type RowParser,
  type TargetColumn,
} from "./import_target.ts";
import { exactJsonValue, jsonValue, notANumber, parseExactly } from "./import_values.ts";

/** One line of a JSON Lines text. */
export interface JsonLine {
  /** Its number, counted from 1. */
  readonly line: number;
  readonly text: string;
}

/** Maximum length of a string in JavaScript. */
const LONGEST = 2 ** 29 - 24;

/**
 * Splits text, given in pieces of any size, into lines that end in LF or CRLF; skips blank lines.
 */
export class JsonlReader {
  /** The beginning of an incomplete line. */
  #parts: string[] = [];
  /** Number of characters in it. */
  #length = 0;
  #line = 1;

  /** Adds a piece of text; returns the lines that are now complete. */
  push(text: string): JsonLine[] {
    const pieces = text.split("\n");
    const rest = pieces.pop() ?? "";
    const lines = pieces.flatMap((piece) => {
      const line = this.#take(piece);
      this.#line++;
      return line;
    });
    this.#parts.push(rest);
    this.#length += rest.length;
    if (this.#length > LONGEST) {
      throw new DumpFault(`a line is longer than ${LONGEST} characters`, {
        line: this.#line,
        help: "JSON Lines has one object on each line: write the file again",
      });
    }
    return lines;
  }

  /** The remaining last line, without a line break. */
  end(): JsonLine[] {
    return this.#take("");
  }

  /** Line on which the text given so far ends. */
  get line(): number {
    return this.#line;
  }

  /** The line that ends with a piece, unless it is blank. */
  #take(piece: string): JsonLine[] {
    const whole = this.#length === 0 ? piece : this.#parts.join("") + piece;
    this.#parts = [];
    this.#length = 0;
    const text = whole.endsWith("\r") ? whole.slice(0, -1) : whole;
    return /\S/.test(text) ? [{ line: this.#line, text }] : [];
  }
}

/** The columns of all objects that have the same keys in the same order. */
interface Shape {
  readonly keys: readonly string[];
  /** The columns of the keys. */
  readonly named: readonly TargetColumn[];
  /** Those of them that take a value. */
  readonly columns: readonly TargetColumn[];
}

/** Parses JSON Lines into rows for a table: each line is an object whose keys are column names. */
export class JsonlRows implements RowParser {
  readonly header = null;
  readonly #reader = new JsonlReader();
  readonly #finder: ColumnFinder;
  readonly #shapes = new Map<string, Shape>();
  #last: Shape | null = null;
  #isFirst = true;

  constructor(target: ImportTarget) {
    this.#finder = new ColumnFinder(target);
  }

  get line(): number {
    return this.#reader.line;
  }

  push(text: string): ParsedRow[] {
    if (this.#isFirst) {
      refuseWholeJson(text);
      this.#isFirst = !/\S/.test(text);
    }
    return this.#reader.push(text).map((line) => this.#row(line));
  }

  end(): ParsedRow[] {
    return this.#reader.end().map((line) => this.#row(line));
  }

  #row({ line, text }: JsonLine): ParsedRow {
    const bad = (reason: string): ParsedRow => ({ line, reason, text, header: null });
    let object: Readonly<Record<string, unknown>> | null;
    try {
      object = asObject(JSON.parse(text));
    } catch (error) {
      return bad(reasonOf(error));
    }
    if (object === null) return bad("it is not a JSON object");
    const shape = this.#shapeOf(Object.keys(object), line);
    if (hasDuplicate(text, shape.keys.length)) return bad("it has a duplicate key");
    let values = valuesOf(object, shape, jsonValue);
    if (values === null) {
      try {
        const exact = asObject(parseExactly(text)) ?? {};
        values = valuesOf(exact, shape, exactJsonValue);
        if (values === null) return bad(noNumberIn(exact, shape));
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        return bad("its values are nested too deeply"); // the stack overflowed
      }
    }
    if (text.includes("\\u")) {
      const half = values.findIndex((value) => typeof value === "string" && !value.isWellFormed());
      if (half !== -1) {
        return bad(`column "${shape.columns[half]?.name}": it has an incomplete character`);
      }
    }
    return { line, text, columns: shape.columns, values };
  }

  #shapeOf(keys: readonly string[], line: number): Shape {
    const last = this.#last;
    if (last !== null && isSame(last.keys, keys)) return last;
    const signature = JSON.stringify(keys);
    let shape = this.#shapes.get(signature);
    if (shape === undefined) {
      const named = this.#finder.find(keys, line);
      shape = { keys, named, columns: named.filter(({ isGenerated }) => !isGenerated) };
      if (this.#shapes.size >= MOST_SHAPES) this.#shapes.clear();
      this.#shapes.set(signature, shape);
    }
    return this.#last = shape;
  }
}

/** Refuses a file that is one JSON value on many lines, each of which would be a bad row. */
function refuseWholeJson(beginning: string): void {
  const [, first] = /^\s*(\[|\{[ \t]*\r?\n)/.exec(beginning) ?? [];
  if (first === undefined) return;
  const isArray = first === "[";
  throw new DumpFault(
    isArray ? "it is one JSON array, not JSON Lines" : "its JSON objects span several lines",
    {
      line: 1,
      help: `write one object on each line, for example with \`jq -c ${
        isArray ? "'.[]'" : "."
      } FILE\``,
    },
  );
}

/** Number of shapes to keep: objects with arbitrary keys must not fill the memory. */
const MOST_SHAPES = 1000;

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((key, index) => key === other[index]);
}

/** The values for the columns; null if one can't be determined. */
function valuesOf(
  object: Readonly<Record<string, unknown>>,
  { keys, named }: Shape,
  read: (value: unknown, column: TargetColumn) => SqlValue | undefined,
): SqlValue[] | null {
  const values: SqlValue[] = [];
  for (const [index, column] of named.entries()) {
    if (column.isGenerated) continue;
    const value = read(object[keys[index] ?? ""], column);
    if (value === undefined) return null;
    values.push(value);
  }
  return values;
}

/** Reports which value is invalid for its column. */
function noNumberIn(object: Readonly<Record<string, unknown>>, { keys, named }: Shape): string {
  for (const [index, column] of named.entries()) {
    const value = object[keys[index] ?? ""];
    if (column.isGenerated || exactJsonValue(value, column) !== undefined) continue;
    return notANumber(typeof value === "string" ? value : JSON.stringify(value), column);
  }
  return "it has an invalid value for a column";
}

/**
 * Whether the text of an object has more keys than this, because one is repeated: `JSON.parse`
 * keeps the last one.
 */
function hasDuplicate(text: string, keys: number): boolean {
  // Each key is followed by a quote and a colon; other texts may contain that, too.
  let count = 0;
  for (let at = text.indexOf('":'); at !== -1; at = text.indexOf('":', at + 2)) count++;
  return count !== keys && membersOf(text) !== keys;
}

/** Number of members of the object that a JSON text describes. Its strings may be of any length. */
function membersOf(text: string): number {
  const mark = /["[\]{}:]/g;
  let [depth, members] = [0, 0];
  for (let found = mark.exec(text); found !== null; found = mark.exec(text)) {
    const [token] = found;
    if (token === '"') mark.lastIndex = endOfString(text, mark.lastIndex);
    else if (token === ":") members += depth === 1 ? 1 : 0;
    else depth += token === "{" || token === "[" ? 1 : -1;
  }
  return members;
}

/** Where a string ends that begins before `from`: after its closing quote. */
function endOfString(text: string, from: number): number {
  for (let at = text.indexOf('"', from); at !== -1; at = text.indexOf('"', at + 1)) {
    let slashes = 0;
    while (text.charCodeAt(at - 1 - slashes) === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return at + 1;
  }
  return text.length;
}

const BACKSLASH = 92;

function asObject(value: unknown): Readonly<Record<string, unknown>> | null {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  return isObject ? value as Readonly<Record<string, unknown>> : null;
}

function reasonOf(error: unknown): string {
  const message = messageOf(error);
  // It is a single line, whose number is reported elsewhere.
  return `it is not JSON: ${message.replace(/ \(line \d+ column \d+\)$/, "")}`;
}

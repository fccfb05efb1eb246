import { lineOf } from "../sql/tokens.ts";
import { DumpFault } from "./import_source.ts";

/** Complete statements of a dump. */
export interface StatementBatch {
  readonly sql: string;
  /** Line on which it begins, counted from 1. */
  readonly line: number;
  /** Whether it is one statement that writes a row of `sqlite_schema`. */
  readonly isSchemaRow: boolean;
  /** Whether it may contain an `INSERT` that replaces rows. */
  readonly mayReplace: boolean;
  /**
   * Offsets in pairs: from a semicolon to the parenthesis of the values of the next `INSERT`, which
   * begins in the same way. With a comma in between the two are one statement.
   */
  readonly joins: readonly number[];
}

/** An incomplete statement at the end of a dump. */
type Remainder = Pick<StatementBatch, "sql" | "line">;

/**
 * Characters of SQL from which a piece is run: the cost of a statement in SQLite grows with the text
 * after it, and each text has a fixed cost.
 */
const PIECE_SIZE = 64 * 1024;

/** Maximum length of a string in JavaScript, and so of a statement. */
const LONGEST = 2 ** 29 - 24;

/**
 * Splits SQL text, which arrives in chunks of any size, into pieces of complete statements. It
 * decides where a statement ends as SQLite's `sqlite3_complete` does. It is separate from the lexer
 * in `lib/sql` for speed: inside a statement it looks only for quotes, comments, parentheses and
 * semicolons.
 */
export class Scanner {
  /** Whether each statement becomes a separate piece. */
  isSingle: boolean;
  /** The text to which all offsets refer. */
  #text = "";
  /** Where the next piece begins, and its line. */
  #start = 0;
  #line: number;
  /** Chunks that are not yet part of the text, and its length from the next piece on with them. */
  #chunks: string[] = [];
  #length = 0;
  /** Length below which it isn't scanned again: a long statement arrives in many chunks. */
  #enough = 0;
  /** Where to continue: the first token that may be incomplete. */
  #at = 0;
  /** Where the last complete statement ends. */
  #boundary = 0;
  /** Whether the current statement begins like the last one. */
  #isLike = false;
  /** The first token of the current statement; -1 if it has none yet. */
  #token = -1;
  /** The last opening parenthesis of the current statement; -1 if it has none. */
  #parenthesis = -1;
  #state: State = "start";
  /** How the last statement began, up to its values; null if it can't be joined with the next. */
  #prefix: string | null = null;
  #joins: number[] = [];
  #mayReplace = false;

  /** Begins at a line of the dump. */
  constructor({ line = 1, isSingle = false }: { line?: number; isSingle?: boolean } = {}) {
    this.#line = line;
    this.isSingle = isSingle;
  }

  /** Line on which the text given so far ends. */
  get line(): number {
    return this.#lineAt(this.#text.length) + lineOf(this.#chunks.join(""), Infinity) - 1;
  }

  /** Adds the next chunk, and yields the pieces that are now complete. */
  *push(chunk: string): Generator<StatementBatch> {
    const nul = chunk.indexOf("\0");
    if (nul !== -1) throw holdsNul(this.line + lineOf(chunk, nul) - 1);
    // What has not been scanned yet may consist of complete statements.
    if (this.#length + chunk.length > LONGEST) yield* this.#statements(false);
    if (this.#length + chunk.length > LONGEST) {
      throw tooLong(this.#length + chunk.length, this.#lineAt(this.#beginning));
    }
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    if (this.#length < this.#enough) return;
    yield* this.#statements(false);
    if (this.#state === "start" && this.#text.length - this.#boundary > PIECE_SIZE) {
      yield* this.#dropTrivia();
    }
    this.#enough = 2 * this.#length;
  }

  /** Ends the text: yields what is left, and returns an incomplete statement, if there is one. */
  *finish(): Generator<StatementBatch, Remainder | null> {
    yield* this.#statements(true);
    if (this.#boundary > this.#start) yield this.#piece(this.#boundary);
    if (this.#state === "start" && this.#at === this.#text.length) return null;
    return { sql: this.#text.slice(this.#beginning), line: this.#lineAt(this.#beginning) };
  }

  /** Where the current statement begins. */
  get #beginning(): number {
    return this.#token === -1 ? this.#start : this.#token;
  }

  #lineAt(offset: number): number {
    return this.#line + lineOf(this.#text.slice(this.#start, offset), Infinity) - 1;
  }

  /** Yields what can be run whenever a statement ends. */
  *#statements(isLast: boolean): Generator<StatementBatch> {
    this.#extend();
    while (this.#scan(isLast)) {
      const isLike = this.#isLikeLast();
      const isSchemaRow = !isLike && this.#begins(SCHEMA_ROW);
      const isLong = this.#at - this.#boundary > PIECE_SIZE;
      // A statement with a separate piece does not include those before it.
      if ((isSchemaRow || isLong) && this.#boundary > this.#start) {
        yield this.#piece(this.#boundary);
      }
      if (!isLike) this.#mayReplace ||= this.#begins(REPLACING);
      if (isLike && this.#prefix !== null) {
        this.#joins.push(this.#boundary - 1 - this.#start, this.#parenthesis - this.#start);
      } else this.#prefix = this.#insertPrefix();
      this.#boundary = this.#at;
      this.#token = this.#parenthesis = -1;
      this.#isLike = false;
      if (isSchemaRow || this.isSingle || this.#at - this.#start >= PIECE_SIZE) {
        yield this.#piece(this.#at, isSchemaRow);
      }
    }
  }

  /** Adds the chunks to the text, and drops what was yielded from it. */
  #extend(): void {
    // In one piece: reading characters of a string that refers to others takes longer.
    this.#text = [this.#text.slice(this.#start), ...this.#chunks].join("");
    this.#chunks = [];
    this.#at -= this.#start;
    this.#boundary -= this.#start;
    if (this.#token !== -1) this.#token -= this.#start;
    if (this.#parenthesis !== -1) this.#parenthesis -= this.#start;
    this.#start = 0;
  }

  /** Discards what is between two statements, which may be larger than the memory. */
  *#dropTrivia(): Generator<StatementBatch> {
    if (this.#boundary > this.#start) yield this.#piece(this.#boundary);
    const rest = this.#text.slice(this.#at);
    const [opener] = /^(?:--|\/\*)/.exec(rest) ?? [];
    this.#line = this.#lineAt(opener === undefined ? this.#at : this.#text.length);
    // An open comment stays open, and the next character may end it.
    this.#text = opener === undefined ? rest : opener + (/..\*$/s.test(rest) ? "*" : "");
    this.#length = this.#text.length;
    this.#start = this.#at = this.#boundary = 0;
  }

  /** Continues to the end of a statement; false if it is not in the text. */
  #scan(isLast: boolean): boolean {
    const text = this.#text;
    if (this.#state === "start") this.#skipPrefix();
    for (;;) {
      const isInside = this.#state === "normal" || this.#state === "trigger";
      const found = isInside ? nextMark(text, this.#at) : nextToken(text, this.#at);
      if (found === null) {
        // The last character may begin a comment.
        const left = !isLast && /[-/]$/.test(text) ? 1 : 0;
        this.#at = Math.max(this.#at, text.length - left);
        return false;
      }
      const { token, start } = found;
      let end = start + token.length;
      const isComment = token === "--" || token === "/*";
      const closer = CLOSERS.get(token);
      if (token === ";") {
        this.#at = end;
        if (this.#semicolon()) return true;
        continue;
      }
      if (closer !== undefined) {
        const close = text.indexOf(closer, end);
        if (close !== -1) end = close + closer.length;
        else end = isLast && token === "--" ? text.length : -1;
      } else if (end === text.length && !isLast && MAY_CONTINUE.test(token)) end = -1;
      // An incomplete quote is known to be one, but not which word an incomplete word is.
      if (!isComment && (end !== -1 || closer !== undefined)) {
        if (this.#state === "start") this.#token = start;
        if (!isInside) this.#state = stateAfter(this.#state, token.toLowerCase());
      }
      if (token === "(") this.#parenthesis = start;
      this.#at = end === -1 ? start : end;
      if (end === -1) return false;
    }
  }

  /** Skips the beginning of an `INSERT` that is like the last one, which most are. */
  #skipPrefix(): void {
    const prefix = this.#prefix;
    if (prefix === null) return;
    const start = this.#at + (this.#text[this.#at] === "\n" ? 1 : 0);
    const open = start + prefix.length;
    if (this.#text[open] !== "(" || !this.#text.startsWith(prefix, start)) return;
    this.#token = start;
    this.#parenthesis = open;
    this.#state = "normal";
    this.#at = open + 1;
    this.#isLike = true;
  }

  /** Handles a semicolon; true if it ends the statement. */
  #semicolon(): boolean {
    const isInTrigger = this.#state === "trigger" || this.#state === "trigger semicolon";
    this.#state = isInTrigger ? "trigger semicolon" : "start";
    return !isInTrigger;
  }

  /** Whether the current statement begins in a way. */
  #begins(pattern: RegExp): boolean {
    pattern.lastIndex = this.#token;
    return this.#token !== -1 && pattern.test(this.#text);
  }

  /**
   * Whether the statement that ends here can be joined with the one before it: both are equal except
   * for their values, which contain no function calls or queries, because they have no parentheses.
   */
  #isLikeLast(): boolean {
    return this.#isLike && this.#parenthesis - this.#token === this.#prefix?.length &&
      this.#text[this.#at - 2] === ")";
  }

  /** The text before the values of the statement that ends here; null if it can't be joined. */
  #insertPrefix(): string | null {
    if (this.#parenthesis === -1 || this.#text[this.#at - 2] !== ")") return null;
    const beginning = this.#text.slice(this.#token, this.#parenthesis);
    return INSERT.test(beginning) ? beginning : null;
  }

  #piece(end: number, isSchemaRow = false): StatementBatch {
    const piece = {
      sql: this.#text.slice(this.#start, end),
      line: this.#line,
      isSchemaRow,
      mayReplace: this.#mayReplace,
      joins: this.#joins,
    };
    this.#line = this.#lineAt(end);
    this.#length -= end - this.#start;
    this.#start = end;
    this.#joins = [];
    this.#mayReplace = false;
    this.#prefix = null;
    return piece;
  }
}

function tooLong(characters: number, line: number): DumpFault {
  return new DumpFault(`a statement is longer than ${characters} characters`, {
    line,
    help: "write it as several statements, or check that its quotes are closed",
  });
}

function holdsNul(line: number): DumpFault {
  return new DumpFault("it has a NUL character, which SQL text can't hold", {
    line,
    help: "the file is damaged, or is not SQL: write the dump again",
  });
}

/**
 * The state of a statement, as far as the meaning of a semicolon depends on it. A trigger contains
 * statements of its own: only a semicolon, END and a semicolon end it.
 */
type State =
  | "start"
  | "normal"
  | "explain"
  | "create"
  | "trigger"
  | "trigger semicolon"
  | "trigger end";

/** The state after a token in lower case. */
function stateAfter(state: State, word: string): State {
  switch (state) {
    case "start":
      return word === "create" || word === "explain" ? word : "normal";
    case "explain":
      if (word === "create") return "create";
      return word === "query" || word === "plan" ? state : "normal";
    case "create":
      if (word === "trigger") return "trigger";
      return word === "temp" || word === "temporary" ? state : "normal";
    case "trigger semicolon":
      return word === "end" ? "trigger end" : "trigger";
    case "trigger end":
      return "trigger";
    default:
      return state;
  }
}

/** Any token; for other purposes than these a part of one is enough. */
const TOKEN = /[;('"`[]|--|\/\*|[\w$\x80-\uffff]+|[!-\x7f]/g;

/** The next token of a text; null if there is none. */
function nextToken(text: string, from: number): Token | null {
  TOKEN.lastIndex = from;
  const found = TOKEN.exec(text);
  return found === null ? null : { token: found[0], start: found.index };
}

interface Token {
  readonly token: string;
  readonly start: number;
}

/** 1 for the characters that matter inside a statement, where words don't. */
const MARKS = new Uint8Array(128);
for (const character of ";('\"`[-/") MARKS[character.charCodeAt(0)] = 1;

/** The next token that matters inside a statement: a regular expression would take twice as long. */
function nextMark(text: string, from: number): Token | null {
  for (let start = from; start < text.length; start++) {
    if (MARKS[text.charCodeAt(start)] !== 1) continue;
    const token = text[start] ?? "";
    if (token !== "-" && token !== "/") return { token, start };
    const comment = text.slice(start, start + 2);
    if (comment === "--" || comment === "/*") return { token: comment, start };
  }
  return null;
}

/** A word, or an operator that may begin a comment. */
const MAY_CONTINUE = /[-/\w$\x80-\uffff]$/;

/** The ends of quoted texts and comments. */
const CLOSERS: ReadonlyMap<string, string> = new Map([
  ["'", "'"],
  ['"', '"'],
  ["`", "`"],
  ["[", "]"],
  ["--", "\n"],
  ["/*", "*/"],
]);

/** The text before the values in an `INSERT` that is only a list of values. */
const INSERT =
  /^insert\s+into\s+(?:[\w$\x80-\uffff]+|"(?:[^"]|"")*"|'(?:[^']|'')*')\s*(?:\([^()]*\)\s*)?values\s*$/i;

/** The beginning of a statement that may replace rows without updating or deleting them by name. */
const REPLACING =
  /(?:replace|with)\b|insert\b(?!\s+into\b|\s+or\s+(?:abort|fail|ignore|rollback)\b)/iy;

/** The beginning of a statement that writes a virtual table's row, as a shell does. */
const SCHEMA_ROW = /insert into ["'`[]?sqlite_(?:schema|master)/iy;

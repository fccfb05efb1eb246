import { DumpFault } from "./import_source.ts";

/** Complete statements of a dump. Its bytes are valid only until the scanner is given more. */
export interface StatementBatch {
  readonly bytes: Uint8Array;
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
interface Remainder {
  readonly bytes: Uint8Array;
  readonly line: number;
}

/**
 * Bytes of SQL from which a piece is run: the cost of a statement in SQLite grows with the text
 * after it, and each text has a fixed cost.
 */
const PIECE_SIZE = 64 * 1024;

/** Bytes of the longest statement: the maximum length of a string in JavaScript. */
const LONGEST = 2 ** 29 - 24;

/** Size of the buffer for ordinary statements; a larger one is released after use. */
const BUFFER_SIZE = 1024 * 1024;

/**
 * Splits SQL text, which arrives in chunks of any size, into pieces of complete statements. It
 * examines only bytes: everything that separates statements is ASCII. It decides where a statement
 * ends as SQLite's `sqlite3_complete` does. It is separate from the lexer in `lib/sql` for speed:
 * it reads dumps of any size without decoding them.
 */
export class Scanner {
  /** Whether each statement becomes a separate piece. */
  isSingle: boolean;
  #buffer: Uint8Array = new Uint8Array(BUFFER_SIZE);
  /** End of the available bytes. */
  #end = 0;
  /** Where the next piece begins, and its line. */
  #start = 0;
  #startLine: number;
  /** Where the last complete statement ends, and its line. */
  #boundary = 0;
  #boundaryLine: number;
  /** Position of the current statement's first token. */
  #token = 0;
  #tokenLine: number;
  /** Position where the current word begins. */
  #word = 0;
  /** Position of the statement's last opening parenthesis; before its token if there is none. */
  #parenthesis = -1;
  /** How the last statement began, up to its values; null if it can't be joined with the next. */
  #prefix: Uint8Array | null = null;
  #joins: number[] = [];
  #mayReplace = false;
  #at = 0;
  #line: number;
  #mode = PLAIN;
  #state = START;

  /** Begins at a line of the dump. */
  constructor({ line = 1, isSingle = false }: { line?: number; isSingle?: boolean } = {}) {
    this.#line =
      this.#startLine =
      this.#boundaryLine =
      this.#tokenLine =
        line;
    this.isSingle = isSingle;
  }

  /** Adds the next chunk, and yields the pieces that are now complete. */
  *push(chunk: Uint8Array): Generator<StatementBatch> {
    // Otherwise a chunk of hundreds of megabytes would be copied as a whole.
    for (let at = 0; at < chunk.length; at += BUFFER_SIZE / 2) {
      this.#append(chunk.subarray(at, at + BUFFER_SIZE / 2));
      while (this.#scan()) yield* this.#cut();
      if (this.#at - this.#boundary > PIECE_SIZE && this.#isBetween()) yield* this.#dropTrivia();
    }
  }

  /** Whether there was only white space and comments since the last statement. */
  #isBetween(): boolean {
    const mode = this.#mode;
    return this.#state === START &&
      (mode === PLAIN || mode === LINE_COMMENT || mode === COMMENT || mode === STAR);
  }

  /** Discards what is between two statements, which may be larger than the memory. */
  *#dropTrivia(): Generator<StatementBatch> {
    if (this.#boundary > this.#start) yield this.#piece(this.#boundary, this.#boundaryLine);
    this.#start = this.#boundary = this.#at;
    this.#startLine = this.#boundaryLine = this.#line;
  }

  /** Ends the text: yields what is left, and returns an incomplete statement, if there is one. */
  *finish(): Generator<StatementBatch, Remainder | null> {
    if (this.#mode === WORD) this.#endWord();
    if (this.#mode === DASH || this.#mode === SLASH) this.#state = NORMAL;
    const isWhole = this.#state === START && (this.#mode === PLAIN || this.#mode === LINE_COMMENT);
    if (this.#boundary > this.#start) yield this.#piece(this.#boundary, this.#boundaryLine);
    if (isWhole) return null;
    const isToken = this.#state !== START;
    return {
      bytes: this.#buffer.subarray(isToken ? this.#token : this.#start, this.#end),
      line: isToken ? this.#tokenLine : this.#startLine,
    };
  }

  #append(chunk: Uint8Array): void {
    if (this.#end + chunk.length > this.#buffer.length) {
      const kept = this.#end - this.#start;
      const needed = kept + chunk.length;
      if (needed > LONGEST) throw tooLong(needed, this.#tokenLine);
      let size = BUFFER_SIZE;
      while (size < needed) size *= 2;
      if (size === this.#buffer.length) this.#buffer.copyWithin(0, this.#start, this.#end);
      else {
        const buffer = new Uint8Array(size);
        buffer.set(this.#buffer.subarray(this.#start, this.#end));
        this.#buffer = buffer;
      }
      this.#boundary -= this.#start;
      this.#token -= this.#start;
      this.#word -= this.#start;
      this.#parenthesis -= this.#start;
      this.#at -= this.#start;
      this.#end = kept;
      this.#start = 0;
    }
    this.#buffer.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /** Continues to the end of a statement; false if it is not in the buffer. */
  #scan(): boolean {
    const buffer = this.#buffer;
    const end = this.#end;
    let at = this.#at;
    let line = this.#line;
    while (at < end) {
      const mode = this.#mode;
      if (mode === PLAIN) {
        if (this.#state === NORMAL || this.#state === TRIGGER) {
          while (at < end && MATTERS[buffer[at] as number] === 0) at++;
          if (at === end) break;
        }
        const byte = buffer[at] as number; // at < end
        if (byte === SEMICOLON) {
          at++;
          if (!this.#semicolon()) continue;
          this.#at = at;
          this.#line = line;
          return true;
        }
        if (byte === LINE_FEED) line++;
        else if (byte === NUL) throw holdsNul(line);
        else if (byte === PARENTHESIS) {
          this.#other(at, line);
          this.#parenthesis = at;
        } else if (MATTERS[byte] === 1) this.#open(byte, at, line);
        else if (this.#state !== NORMAL && this.#state !== TRIGGER && byte > 32) {
          if (IN_WORD[byte] === 1) {
            this.#word = at;
            this.#mode = WORD;
            if (this.#state === START) this.#begin(at, line);
          } else this.#other(at, line);
        }
        at++;
      } else if (mode === WORD) {
        while (at < end && IN_WORD[buffer[at] as number] === 1) at++;
        if (at === end) break;
        this.#at = at;
        this.#endWord();
      } else if (mode <= BRACKET) {
        const closer = CLOSERS[mode] as number; // each of them has one
        let byte = closer;
        while (at < end) {
          byte = buffer[at++] as number;
          if (byte === closer) break;
          if (byte === LINE_FEED) line++;
          else if (byte === NUL) throw holdsNul(line);
        }
        if (byte === closer) this.#mode = PLAIN;
      } else {
        const byte = buffer[at] as number; // at < end
        if (byte === NUL) throw holdsNul(line);
        if (mode === DASH || mode === SLASH) {
          if (mode === DASH && byte === 45) this.#mode = LINE_COMMENT;
          else if (mode === SLASH && byte === 42) this.#mode = COMMENT;
          else {
            // It was an operator, and this byte is examined again.
            this.#mode = PLAIN;
            this.#other(at - 1, line);
            continue;
          }
        } else if (byte === LINE_FEED) {
          line++;
          this.#mode = mode === LINE_COMMENT ? PLAIN : COMMENT;
        } else if (mode === COMMENT) {
          if (byte === 42) this.#mode = STAR;
        } else if (mode === STAR) {
          this.#mode = byte === 47 ? PLAIN : byte === 42 ? STAR : COMMENT;
        }
        at++;
      }
    }
    this.#at = at;
    this.#line = line;
    return false;
  }

  /** Yields what can be run now that a statement has ended. */
  *#cut(): Generator<StatementBatch> {
    const isSchemaRow = this.#isSchemaRow();
    const isLong = this.#at - this.#boundary > PIECE_SIZE;
    // A statement with a separate piece does not include those before it.
    if ((isSchemaRow || isLong) && this.#boundary > this.#start) {
      yield this.#piece(this.#boundary, this.#boundaryLine);
    }
    this.#join();
    this.#mayReplace ||= this.#replaces();
    this.#boundary = this.#at;
    this.#boundaryLine = this.#line;
    if (isSchemaRow || this.isSingle || this.#at - this.#start >= PIECE_SIZE) {
      yield this.#piece(this.#at, this.#line, isSchemaRow);
    }
  }

  /**
   * Notes whether the statement that ends here can be joined with the one before it: both are equal
   * except for their values, which contain no function calls or queries, because they have no
   * parentheses.
   */
  #join(): void {
    const token = this.#token;
    const open = this.#parenthesis;
    const isList = token >= this.#boundary && open > token &&
      this.#buffer[this.#at - 2] === CLOSING;
    if (!isList) this.#prefix = null;
    else if (this.#prefix !== null && this.#begins(token, open, this.#prefix)) {
      this.#joins.push(this.#boundary - 1 - this.#start, open - this.#start);
    } else {
      const prefix = this.#buffer.subarray(token, open);
      const isInsert = INSERT.test(String.fromCharCode(...prefix.subarray(0, 10_000)));
      this.#prefix = isInsert ? prefix.slice() : null;
    }
  }

  #begins(start: number, end: number, prefix: Uint8Array): boolean {
    if (end - start !== prefix.length) return false;
    for (let at = 0; at < prefix.length; at++) {
      if (this.#buffer[start + at] !== prefix[at]) return false;
    }
    return true;
  }

  #piece(end: number, line: number, isSchemaRow = false): StatementBatch {
    const piece = {
      bytes: this.#buffer.subarray(this.#start, end),
      line: this.#startLine,
      isSchemaRow,
      mayReplace: this.#mayReplace,
      joins: this.#joins,
    };
    this.#joins = [];
    this.#mayReplace = false;
    this.#prefix = null;
    this.#start = end;
    this.#startLine = line;
    return piece;
  }

  /** Handles a byte that begins a quote, or perhaps a comment. */
  #open(byte: number, at: number, line: number): void {
    const mode = OPENERS.get(byte) ?? PLAIN;
    this.#mode = mode;
    // Only the next byte shows whether it is a comment.
    if (mode !== DASH && mode !== SLASH) this.#other(at, line);
  }

  /** Handles a token that is not one of the relevant words. */
  #other(at: number, line: number): void {
    switch (this.#state) {
      case START:
        this.#begin(at, line);
        this.#state = NORMAL;
        break;
      case EXPLAIN:
      case CREATE:
        this.#state = NORMAL;
        break;
      case TRIGGER_SEMICOLON:
      case TRIGGER_END:
        this.#state = TRIGGER;
    }
  }

  #begin(at: number, line: number): void {
    this.#token = at;
    this.#tokenLine = line;
  }

  #endWord(): void {
    this.#mode = PLAIN;
    switch (this.#state) {
      case START:
        this.#state = this.#isWord("create") ? CREATE : this.#isWord("explain") ? EXPLAIN : NORMAL;
        break;
      case EXPLAIN:
        if (this.#isWord("create")) this.#state = CREATE;
        else if (!this.#isWord("query") && !this.#isWord("plan")) this.#state = NORMAL;
        break;
      case CREATE:
        if (this.#isWord("trigger")) this.#state = TRIGGER;
        else if (!this.#isWord("temp") && !this.#isWord("temporary")) this.#state = NORMAL;
        break;
      case TRIGGER_SEMICOLON:
        this.#state = this.#isWord("end") ? TRIGGER_END : TRIGGER;
        break;
      case TRIGGER_END:
        this.#state = TRIGGER;
    }
  }

  /** Handles a semicolon; true if it ends the statement. */
  #semicolon(): boolean {
    if (this.#state === TRIGGER || this.#state === TRIGGER_SEMICOLON) {
      this.#state = TRIGGER_SEMICOLON;
      return false;
    }
    this.#state = START;
    return true;
  }

  /** Whether the word that ends here is the given one, in lower case. */
  #isWord(word: string): boolean {
    return this.#at - this.#word === word.length && this.#has(word, this.#word);
  }

  /** Whether the text at an offset is the given one, in any case. */
  #has(text: string, at: number): boolean {
    for (let index = 0; index < text.length; index++) {
      const byte = this.#buffer[at + index] ?? NUL;
      const small = byte >= 65 && byte <= 90 ? byte + 32 : byte;
      if (small !== text.charCodeAt(index)) return false;
    }
    return true;
  }

  /** Whether the statement that ends here may be an `INSERT` that replaces rows. */
  #replaces(): boolean {
    const start = this.#token;
    if (start < this.#boundary || this.#has("insert into ", start)) return false;
    const end = Math.min(start + 100, this.#at);
    return REPLACING.test(String.fromCharCode(...this.#buffer.subarray(start, end)));
  }

  /** Whether the statement that ends here begins as a shell writes a virtual table's row. */
  #isSchemaRow(): boolean {
    const start = "insert into ";
    if (this.#token < this.#boundary || !this.#has(start, this.#token)) return false;
    let at = this.#token + start.length;
    const byte = this.#buffer[at];
    if (byte === 34 || byte === 39 || byte === 96 || byte === 91) at++;
    return this.#has("sqlite_schema", at) || this.#has("sqlite_master", at);
  }
}

function tooLong(bytes: number, line: number): DumpFault {
  return new DumpFault(`a statement is longer than ${bytes} bytes`, {
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

// The kind of text that a byte is in.
export const PLAIN = 0;
const WORD = 1;
const SINGLE = 2; // '…'
const DOUBLE = 3; // "…"
const BACKTICK = 4; // `…`
const BRACKET = 5; // […]
export const DASH = 6; // one dash; two begin a comment
const LINE_COMMENT = 7;
const SLASH = 8; // one slash; with a star it begins a comment
const COMMENT = 9; // /* … */
const STAR = 10; // a star in a comment; with a slash it ends the comment

// The state of a statement, as far as the meaning of a semicolon depends on it. A trigger contains
// statements of its own: only a semicolon, END and a semicolon end it.
const START = 0;
export const NORMAL = 1;
export const EXPLAIN = 2;
export const CREATE = 3;
export const TRIGGER = 4;
const TRIGGER_SEMICOLON = 5;
const TRIGGER_END = 6;

export const NUL = 0;
export const LINE_FEED = 10;
const PARENTHESIS = 40;
const CLOSING = 41;
const SEMICOLON = 59;
const CLOSERS: readonly number[] = [0, 0, 39, 34, 96, 93];
const OPENERS: ReadonlyMap<number, number> = new Map([
  [39, SINGLE],
  [34, DOUBLE],
  [96, BACKTICK],
  [91, BRACKET],
  [45, DASH],
  [47, SLASH],
]);

/** 1 for the bytes that matter inside a statement, where words don't. */
const MATTERS = new Uint8Array(256);
for (const byte of [NUL, LINE_FEED, PARENTHESIS, SEMICOLON, ...OPENERS.keys()]) MATTERS[byte] = 1;

/** The text before the values in an `INSERT` that is only a list of values. */
export const INSERT =
  /^insert\s+into\s+(?:[\w$\x80-\xff]+|"(?:[^"]|"")*"|'(?:[^']|'')*')\s*(?:\([^()]*\)\s*)?values\s*$/i;

/** The beginning of a statement that may replace rows without updating or deleting them by name. */
const REPLACING =
  /^(?:replace|with)\b|^insert\b(?!\s+into\b|\s+or\s+(?:abort|fail|ignore|rollback)\b)/i;

/** 1 for the bytes that words consist of. */
const IN_WORD = new Uint8Array(256);
for (let byte = 0; byte < 256; byte++) {
  if (byte >= 0x80 || /[\w$]/.test(String.fromCharCode(byte))) IN_WORD[byte] = 1;
}

import { DumpFault } from "./import_source.ts";

/** Whole statements of a dump. Its bytes are good only until the scanner is given more. */
export interface StatementBatch {
  readonly bytes: Uint8Array;
  /** Line on which it begins; the first is 1. */
  readonly line: number;
  /** Whether it is one statement that writes a row of `sqlite_schema`. */
  readonly isSchemaRow: boolean;
  /**
   * Offsets in pairs: from a semicolon to the parenthesis of the values of the next `INSERT`, which
   * begins in the same way. With a comma in between the two are one statement.
   */
  readonly joins: readonly number[];
}

/** What a dump ended in that is no whole statement. */
interface Remainder {
  readonly bytes: Uint8Array;
  readonly line: number;
}

/**
 * Bytes of SQL from which a piece is run: SQLite's cost per statement grows with what follows it in
 * the same text, and each text has a cost of its own.
 */
const PIECE_SIZE = 64 * 1024;

/** Bytes of the longest statement: JavaScript holds no longer text. */
const LONGEST = 2 ** 29 - 24;

/** Size of the buffer for ordinary statements; a larger one is given back after use. */
const BUFFER_SIZE = 1024 * 1024;

/**
 * Splits SQL text, which comes in chunks of any size, into pieces of whole statements. It looks at
 * bytes alone: all that separates statements is ASCII. Where a statement ends it decides as SQLite's
 * own `sqlite3_complete` does. It is separate from the lexer in `lib/sql` for speed: it reads dumps of
 * any size without decoding them.
 */
export class Scanner {
  /** Whether each statement is to be a piece of its own. */
  isSingle: boolean;
  #buffer: Uint8Array = new Uint8Array(BUFFER_SIZE);
  /** Where the bytes end that are there. */
  #end = 0;
  /** Where the next piece begins, and its line. */
  #start = 0;
  #startLine: number;
  /** Where the last whole statement ends, and its line. */
  #boundary = 0;
  #boundaryLine: number;
  /** Where the current statement's first token is. */
  #token = 0;
  #tokenLine: number;
  /** Where the word begins that is being read. */
  #word = 0;
  /** Where the statement's last opening parenthesis is; before its token where it has none. */
  #parenthesis = -1;
  /** How the last statement began, up to its values; null where it can't be joined with the next. */
  #prefix: Uint8Array | null = null;
  #joins: number[] = [];
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

  /** Takes the next chunk, and yields the pieces that are whole now. */
  *push(chunk: Uint8Array): Generator<StatementBatch> {
    // A chunk of hundreds of megabytes would be copied as a whole.
    for (let at = 0; at < chunk.length; at += BUFFER_SIZE / 2) {
      this.#append(chunk.subarray(at, at + BUFFER_SIZE / 2));
      while (this.#scan()) yield* this.#cut();
      if (this.#at - this.#boundary > PIECE_SIZE && this.#isBetween()) yield* this.#dropTrivia();
    }
  }

  /** Whether nothing but white space and comments has come since the last statement. */
  #isBetween(): boolean {
    const mode = this.#mode;
    return this.#state === START &&
      (mode === PLAIN || mode === LINE_COMMENT || mode === COMMENT || mode === STAR);
  }

  /** Forgets what stands between two statements, which may be longer than the memory. */
  *#dropTrivia(): Generator<StatementBatch> {
    if (this.#boundary > this.#start) yield this.#piece(this.#boundary, this.#boundaryLine);
    this.#start = this.#boundary = this.#at;
    this.#startLine = this.#boundaryLine = this.#line;
  }

  /** Ends the text: yields what is left, and returns what is no whole statement, if anything is. */
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

  /** Goes on to the end of a statement; false where there is none in the buffer. */
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
        const closer = CLOSERS[mode] as number; // there is one for each of them
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
            // It was an operator, and this byte is looked at again.
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

  /** Yields what is to be run now that a statement has ended. */
  *#cut(): Generator<StatementBatch> {
    const isSchemaRow = this.#isSchemaRow();
    const isLong = this.#at - this.#boundary > PIECE_SIZE;
    // A statement that is alone in its piece doesn't take those before it along.
    if ((isSchemaRow || isLong) && this.#boundary > this.#start) {
      yield this.#piece(this.#boundary, this.#boundaryLine);
    }
    this.#join();
    this.#boundary = this.#at;
    this.#boundaryLine = this.#line;
    if (isSchemaRow || this.isSingle || this.#at - this.#start >= PIECE_SIZE) {
      yield this.#piece(this.#at, this.#line, isSchemaRow);
    }
  }

  /**
   * Notes where the statement that ends here can be joined with the one before it: both are the same
   * but for their values, which call no function and hold no query, since they have no parenthesis.
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
      joins: this.#joins,
    };
    this.#joins = [];
    this.#prefix = null;
    this.#start = end;
    this.#startLine = line;
    return piece;
  }

  /** Takes a byte that begins a quote, or perhaps a comment. */
  #open(byte: number, at: number, line: number): void {
    const mode = OPENERS.get(byte) ?? PLAIN;
    this.#mode = mode;
    // Whether it is a comment only the next byte says.
    if (mode !== DASH && mode !== SLASH) this.#other(at, line);
  }

  /** Takes a token that is none of the words that matter. */
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

  /** Takes a semicolon; true where it ends the statement. */
  #semicolon(): boolean {
    if (this.#state === TRIGGER || this.#state === TRIGGER_SEMICOLON) {
      this.#state = TRIGGER_SEMICOLON;
      return false;
    }
    this.#state = START;
    return true;
  }

  /** Whether the word that ends here is the one named, which is in small letters. */
  #isWord(word: string): boolean {
    return this.#at - this.#word === word.length && this.#has(word, this.#word);
  }

  /** Whether the text at an offset is this one, in small or capital letters. */
  #has(text: string, at: number): boolean {
    for (let index = 0; index < text.length; index++) {
      const byte = this.#buffer[at + index] ?? NUL;
      const small = byte >= 65 && byte <= 90 ? byte + 32 : byte;
      if (small !== text.charCodeAt(index)) return false;
    }
    return true;
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
    help: "the file is damaged, or it is no SQL: write the dump again",
  });
}

// In what kind of text a byte is.
export const PLAIN = 0;
const WORD = 1;
const SINGLE = 2; // '…'
const DOUBLE = 3; // "…"
const BACKTICK = 4; // `…`
const BRACKET = 5; // […]
export const DASH = 6; // one dash: two begin a comment
const LINE_COMMENT = 7;
const SLASH = 8; // one slash: with a star it begins a comment
const COMMENT = 9; // /* … */
const STAR = 10; // a star in a comment: with a slash it ends it

// How far a statement has come, as far as a semicolon's meaning depends on it. A trigger holds
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

/** 1 for the bytes that matter amid a statement, where words don't. */
const MATTERS = new Uint8Array(256);
for (const byte of [NUL, LINE_FEED, PARENTHESIS, SEMICOLON, ...OPENERS.keys()]) MATTERS[byte] = 1;

/** What stands before the values in an `INSERT` that is only a list of values. */
export const INSERT =
  /^insert\s+into\s+(?:[\w$\x80-\xff]+|"(?:[^"]|"")*"|'(?:[^']|'')*')\s*(?:\([^()]*\)\s*)?values\s*$/i;

/** 1 for the bytes that a word is made of. */
const IN_WORD = new Uint8Array(256);
for (let byte = 0; byte < 256; byte++) {
  if (byte >= 0x80 || /[\w$]/.test(String.fromCharCode(byte))) IN_WORD[byte] = 1;
}

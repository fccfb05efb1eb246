/** Something in an SQL text that begins and has no end. */
export interface Unfinished {
  /** What it is, with its article. */
  readonly what: "the string" | "the quoted name" | "the comment" | "the trigger";
  /** Where it begins. */
  readonly at: number;
  /** Where its statement begins. */
  readonly statement: number;
}

/** Where a statement is in an SQL text. */
export interface StatementRange {
  readonly start: number;
  /** Exclusive; behind the semicolon, where there is one. */
  readonly end: number;
}

/** The statements of an SQL text, as far as they can be told. */
export interface Statements {
  readonly statements: readonly StatementRange[];
  /** Null where all that begins has an end. */
  readonly unfinished: Unfinished | null;
}

/** Pieces that decide where a statement ends, and what hides such pieces. */
const PIECE = new RegExp(
  [
    String.raw`--[^\n]*|/\*[^]*?\*/`,
    // Not followed by another quote: one that is written twice doesn't end the string.
    ...["'", '"', "`"].map((quote) =>
      `${quote}[^${quote}]*(?:${quote}${quote}[^${quote}]*)*${quote}(?!${quote})`
    ),
    String.raw`\[[^\]]*\]|/\*|;|[A-Za-z_\x80-\uFEFE][\w$\x80-\uFEFE]*|[^\s;\uFEFF]`,
  ].join("|"),
  "g",
);

/**
 * Splits an SQL text at the semicolons that end a statement: not at those in quotes, in comments and in
 * the body of a trigger. It needs no database and looks at no grammar.
 */
export function splitStatements(sql: string): Statements {
  const statements: StatementRange[] = [];
  let start = -1;
  let words = 0;
  let trigger = NONE;
  for (const match of sql.matchAll(PIECE)) {
    const piece = match[0];
    const at = match.index;
    if (piece === "/*") return { statements, unfinished: unfinished("the comment", at, start) };
    if (piece.startsWith("--") || piece.startsWith("/*")) continue;
    if (piece === ";") {
      if (start === -1) continue;
      if (trigger === BODY || trigger === AFTER_SEMICOLON) {
        trigger = AFTER_SEMICOLON;
        continue;
      }
      statements.push({ start, end: at + 1 });
      [start, words, trigger] = [-1, 0, NONE];
      continue;
    }
    if (start === -1) start = at;
    if (piece.length === 1 && `'"\`[`.includes(piece)) {
      const what = piece === "'" ? "the string" : "the quoted name";
      return { statements, unfinished: unfinished(what, at, start) };
    }
    words++;
    if (trigger !== NONE) {
      // As SQLite's own shell tells it: a trigger ends with END right behind a semicolon.
      trigger = trigger === AFTER_SEMICOLON && /^end$/i.test(piece) ? ENDED : BODY;
    } else if (words <= 3 && isTrigger(sql.slice(start, at), piece, words)) {
      trigger = BODY;
    }
  }
  if (start === -1) return { statements, unfinished: null };
  if (trigger === BODY || trigger === AFTER_SEMICOLON) {
    return { statements, unfinished: unfinished("the trigger", start, start) };
  }
  statements.push({ start, end: sql.length });
  return { statements, unfinished: null };
}

const NONE = 0;
const BODY = 1;
const AFTER_SEMICOLON = 2;
const ENDED = 3;

function isTrigger(before: string, word: string, words: number): boolean {
  if (!/^trigger$/i.test(word)) return false;
  return words === 2 ? /^create\b/i.test(before) : /^create\b[^]*\btemp(orary)?\b/i.test(before);
}

function unfinished(what: Unfinished["what"], at: number, statement: number): Unfinished {
  return { what, at, statement: statement === -1 ? at : statement };
}

/**
 * Offset of the first character of `sql`, from `start` on, that belongs to a statement: white space,
 * comments, semicolons and a byte-order mark are skipped. `sql.length` where nothing follows.
 *
 * A driver must never be given text that holds no statement: Deno's `node:sqlite` crashes the
 * process when it is asked for the source text of such a statement.
 */
export function skipTrivia(sql: string, start: number): number {
  let at = start;
  while (at < sql.length) {
    const character = sql[at];
    if (character === ";" || character === "\uFEFF" || /\s/.test(character ?? "")) at++;
    else if (sql.startsWith("--", at)) at = after(sql, "\n", at + 2);
    else if (sql.startsWith("/*", at)) at = after(sql, "*/", at + 2);
    else return at;
  }
  return at;
}

function after(sql: string, end: string, from: number): number {
  const found = sql.indexOf(end, from);
  return found === -1 ? sql.length : found + end.length;
}

const STATEMENT =
  /^(?:[^;'"`[\-/]+|'[^']*'|"[^"]*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|\/\*[^]*?\*\/|[^;])*/;

/** Length to which {@link firstStatement} cuts a text, in characters. */
const LONGEST = 10_000;

/**
 * The first statement of a text that SQLite can't parse, for a message only: it ends at the first
 * semicolon outside of quotes and comments, so a trigger is cut short, and a very long one is cut.
 */
export function firstStatement(sql: string): string {
  return STATEMENT.exec(sql.slice(0, LONGEST))?.[0] ?? "";
}

/** Number of the line on which `offset` is; the first line is 1. */
export function lineOf(sql: string, offset: number): number {
  let line = 1;
  for (let at = sql.indexOf("\n"); at !== -1 && at < offset; at = sql.indexOf("\n", at + 1)) line++;
  return line;
}

/** Tells whether two SQL texts have the same checksum; equal texts are not even read. */
export function sameText(a: string, b: string): boolean {
  return a === b || canonical(a) === canonical(b);
}

// Quoted text in any of SQLite's four ways comes first, so that what looks like a comment inside it is kept.
const QUOTED_OR_COMMENT =
  /'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/g;

/** The text without what has no meaning. */
export function canonical(sql: string): string {
  return sql
    .replace(/^\uFEFF/, "")
    .replaceAll("\r\n", "\n")
    .replace(QUOTED_OR_COMMENT, (found) =>
      // A line break inside quotes is part of the text, and must not be taken for the end of a line.
      /^(--|\/\*)/.test(found) ? " " : found.replaceAll("\n", "\0"))
    .split("\n").map((line) => line.trimEnd()).filter((line) => line !== "").join("\n");
}

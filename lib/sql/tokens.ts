/**
 * The lexer of SQL text: tokens, quoting, statements.
 *
 * @module
 */
/** Kind of a token; `quoted` is a quoted identifier, `operator` is anything else. */
type TokenKind = "word" | "quoted" | "string" | "blob" | "number" | "operator";

/** A significant piece of SQL text: not white space or a comment. */
export interface Token {
  readonly kind: TokenKind;
  /** The same for all spellings: a word in lower case, a quoted name or a string without quotes. */
  readonly value: string;
  /** The original text. */
  readonly text: string;
  /** Where it begins in the text. */
  readonly start: number;
  /** Where it ends, exclusive. */
  readonly end: number;
}

/** A piece of SQL text: a token, or white space or a comment between tokens. */
interface Lexeme {
  readonly kind: TokenKind | "space" | "comment";
  /** Where it begins in the text. */
  readonly start: number;
  /** Where it ends, exclusive. */
  readonly end: number;
}

// A doubled quote does not end a string. An unclosed quote is an operator.
const COMMENT = String.raw`--[^\n]*|/\*[^]*?(?:\*/|$)`;
const STRING = String.raw`'[^']*(?:''[^']*)*'(?!')`;
const QUOTED = String.raw`"[^"]*(?:""[^"]*)*"(?!")|${"`[^`]*(?:``[^`]*)*`(?!`)"}|\[[^\]]*\]`;

// One alternative per kind, in the order of KINDS. SQLite treats non-ASCII characters as letters.
const PATTERN = new RegExp(
  [
    String.raw`([ \t\n\f\r\uFEFF]+)`,
    `(${COMMENT})`,
    String.raw`([xX]'[0-9a-fA-F]*')`,
    `(${STRING})`,
    `(${QUOTED})`,
    String.raw`(0[xX][0-9a-fA-F_]+|(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d[\d_]*)?)`,
    String.raw`([A-Za-z_$\x80-\uFFFF][\w$\x80-\uFFFF]*)`,
    String.raw`(->>|\|\||->|<=|>=|==|<>|!=|<<|>>|[^])`,
  ].join("|"),
  "y",
);
const KINDS = [
  "space",
  "comment",
  "blob",
  "string",
  "quoted",
  "number",
  "word",
  "operator",
] as const;
const SYNONYMS: Readonly<Record<string, string>> = { "==": "=", "<>": "!=" };

/** Words that are values without quotes, so a name like this must keep its quotes. */
const VALUES = /^(null|true|false|current_(time|date|timestamp))$/;

/** The lexeme that begins at an offset; null at the end of the text. */
function lexemeAt(sql: string, start: number): Lexeme | null {
  if (start >= sql.length) return null;
  PATTERN.lastIndex = start;
  const match = PATTERN.exec(sql);
  // The last alternative matches any character.
  let index = 0;
  while (match !== null && match[index + 1] === undefined) index++;
  return { kind: KINDS[index] ?? "operator", start, end: PATTERN.lastIndex };
}

/** Splits any text into adjacent lexemes. */
function lex(sql: string): Lexeme[] {
  const lexemes: Lexeme[] = [];
  for (let next = lexemeAt(sql, 0); next !== null; next = lexemeAt(sql, next.end)) {
    lexemes.push(next);
  }
  return lexemes;
}

/** Splits SQL text that SQLite has accepted into tokens. */
export function tokenize(sql: string): Token[] {
  const tokens: Token[] = [];
  for (const { kind, start, end } of lex(sql)) {
    if (kind === "space" || kind === "comment") continue;
    const text = sql.slice(start, end);
    tokens.push({ kind, value: valueOf(kind, text), text, start, end });
  }
  return tokens;
}

function valueOf(kind: TokenKind, text: string): string {
  switch (kind) {
    case "quoted":
      if (text.startsWith("[")) return text.slice(1, -1);
      return text.slice(1, -1).replaceAll(text.charAt(0).repeat(2), text.charAt(0));
    case "string":
      return text.slice(1, -1).replaceAll("''", "'");
    case "number":
      return fold(text.replaceAll("_", ""));
    case "operator":
      return SYNONYMS[text] ?? text;
    default:
      return fold(text);
  }
}

/** Converts ASCII letters to lower case, as SQLite does when it compares names. */
export function fold(name: string): string {
  return /[A-Z]/.test(name) ? name.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()) : name;
}

/** Whether two names are the same for SQLite. */
export function sameName(a: string, b: string): boolean {
  return fold(a) === fold(b);
}

/** The object with a name. */
export function findNamed<T extends { readonly name: string }>(
  list: readonly T[],
  name: string,
): T | undefined {
  return list.find((one) => sameName(one.name, name));
}

/** Whether a name occurs in an SQL text, bare or in double quotes. */
export function mentions(sql: string, name: string): boolean {
  return tokenize(sql).some(({ kind, value }) =>
    (kind === "word" || kind === "quoted") && sameName(value, name)
  );
}

/** Whether a token is one of these bare words or operators, given in lower case. */
export function tokenIs(token: Token | undefined, ...values: readonly string[]): boolean {
  return token !== undefined && (token.kind === "word" || token.kind === "operator") &&
    values.includes(token.value);
}

/** The canonical spelling of a list of tokens, for comparison rather than for reading. */
export function canonicalSpelling(tokens: readonly Token[]): string {
  return tokens.map(canonicalToken).join(" ");
}

function canonicalToken(token: Token): string {
  switch (token.kind) {
    case "quoted": {
      const name = fold(token.value);
      const plain = /^[a-z_][a-z0-9_$]*$/.test(name) && !VALUES.test(name);
      return plain ? name : `"${name.replaceAll('"', '""')}"`;
    }
    case "string":
      return token.text;
    default:
      return token.value;
  }
}

/**
 * Canonical spelling of SQL text. Two texts with the same spelling differ only in white space, comments,
 * the case of words and names, quotes around names, `==` for `=`, `<>` for `!=`, and a final `;`.
 */
export function normalize(sql: string): string {
  const tokens = tokenize(sql);
  while (tokenIs(tokens.at(-1), ";")) tokens.pop();
  return canonicalSpelling(tokens);
}

/** The original text in `sql` from the first to the last of the tokens. */
export function originalText(sql: string, tokens: readonly Token[]): string {
  return sql.slice(tokens[0]?.start ?? 0, tokens.at(-1)?.end ?? 0);
}

/** Quotes a name as an SQL identifier. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A name for the row id that no column has; null if all are taken. */
export function rowIdName(columns: Iterable<string>): string | null {
  const taken = new Set(Array.from(columns, fold));
  return ["rowid", "_rowid_", "oid"].find((name) => !taken.has(name)) ?? null;
}

/** Whether the stored SQL of a table is that of a virtual table; SQLite spells its beginning. */
export function isVirtualTable(sql: string): boolean {
  return /^CREATE VIRTUAL\b/i.test(sql);
}

/** Quotes a text as an SQL literal; it must not contain NUL. */
export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** An unterminated part of an SQL text. */
export interface Unfinished {
  /** What it is, with an article. */
  readonly what: "the string" | "the quoted name" | "the comment" | "the trigger";
  /** Where it begins. */
  readonly at: number;
  /** Where its statement begins. */
  readonly statement: number;
}

/** Position of a statement in an SQL text. */
interface StatementRange {
  readonly start: number;
  /** Exclusive; after the semicolon, if there is one. */
  readonly end: number;
}

/** The statements of an SQL text, up to an unterminated part. */
interface Statements {
  readonly statements: readonly StatementRange[];
  /** Null if nothing is unterminated. */
  readonly unfinished: Unfinished | null;
}

/**
 * Splits an SQL text at the semicolons that end a statement, but not in quotes, comments or the body of
 * a trigger. Needs no database and does not check the grammar.
 */
export function splitStatements(sql: string): Statements {
  const statements: StatementRange[] = [];
  let start = -1;
  let head = ""; // the first words, while they may begin a trigger
  let trigger: "none" | "body" | "after semicolon" | "ended" = "none";
  for (const lexeme of lex(sql)) {
    const { kind, start: at, end } = lexeme;
    if (kind === "space") continue;
    if (kind === "comment") {
      if (!isOpenComment(sql, lexeme)) continue;
      return { statements, unfinished: unfinished("the comment", at, start) };
    }
    const text = sql.slice(at, end);
    if (text === ";") {
      if (start === -1) continue;
      if (trigger === "body" || trigger === "after semicolon") {
        trigger = "after semicolon";
        continue;
      }
      statements.push({ start, end });
      [start, head, trigger] = [-1, "", "none"];
      continue;
    }
    if (start === -1) start = at;
    if (kind === "operator" && `'"\`[`.includes(text)) {
      const what = text === "'" ? "the string" : "the quoted name";
      return { statements, unfinished: unfinished(what, at, start) };
    }
    if (trigger !== "none") {
      // As in SQLite's shell, a trigger ends with END right after a semicolon.
      trigger = trigger === "after semicolon" && /^end$/i.test(text) ? "ended" : "body";
    } else if (head.length < LONGEST_HEAD) {
      head += `${text.toLowerCase()} `;
      if (/^create (temp |temporary )?trigger $/.test(head)) trigger = "body";
    }
  }
  if (start === -1) return { statements, unfinished: null };
  if (trigger === "body" || trigger === "after semicolon") {
    return { statements, unfinished: unfinished("the trigger", start, start) };
  }
  statements.push({ start, end: sql.length });
  return { statements, unfinished: null };
}

const LONGEST_HEAD = "create temporary ".length + 1;

function isOpenComment(sql: string, { start, end }: Lexeme): boolean {
  return sql.startsWith("/*", start) && !(end - start >= 4 && sql.endsWith("*/", end));
}

/** Adds a semicolon to a statement, even if it ends with a comment. */
export function terminate(sql: string): string {
  const last = lex(sql).at(-1);
  if (last?.kind !== "comment") return `${sql};`;
  if (isOpenComment(sql, last)) return `${sql}*/;`;
  return sql.startsWith("--", last.start) ? `${sql}\n;` : `${sql};`;
}

function unfinished(what: Unfinished["what"], at: number, statement: number): Unfinished {
  return { what, at, statement: statement === -1 ? at : statement };
}

/**
 * Offset of the first character of `sql`, from `start` on, that belongs to a statement: skips white
 * space, comments, semicolons and a byte-order mark. `sql.length` if nothing follows.
 *
 * Never pass a driver text without a statement: Deno's `node:sqlite` crashes the process when it reads
 * the source text of such a statement.
 */
export function skipTrivia(sql: string, start: number): number {
  let next = lexemeAt(sql, start);
  while (
    next !== null && (next.kind === "space" || next.kind === "comment" || sql[next.start] === ";")
  ) {
    next = lexemeAt(sql, next.end);
  }
  return next?.start ?? sql.length;
}

/** Length in characters to which {@link firstStatement} truncates a text. */
const LONGEST = 10_000;

/**
 * The first statement of a text that SQLite cannot parse, for messages only. It ends at the first
 * semicolon outside quotes and comments, so a trigger is incomplete; a very long one is truncated.
 */
export function firstStatement(sql: string): string {
  const text = sql.slice(0, LONGEST);
  return text.slice(0, lex(text).find(({ start }) => text[start] === ";")?.start);
}

/** Line number of an offset; the first line is 1. */
export function lineOf(sql: string, offset: number): number {
  let line = 1;
  for (let at = sql.indexOf("\n"); at !== -1 && at < offset; at = sql.indexOf("\n", at + 1)) line++;
  return line;
}

/** A statement on one line, with each run of white space as one space. */
export function onOneLine(sql: string): string {
  return sql.trim().replace(/\s+/g, " ");
}

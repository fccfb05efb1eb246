/** What a token is; `quoted` is an identifier in quotes, `operator` is all the rest. */
type TokenKind = "word" | "quoted" | "string" | "blob" | "number" | "operator";

/** A piece of SQL text that means something: no white space, no comment. */
export interface Token {
  readonly kind: TokenKind;
  /** The same for all spellings: a word in small letters, a quoted name or a string bare. */
  readonly value: string;
  /** The text as it was written. */
  readonly text: string;
  /** Where it begins in the text. */
  readonly start: number;
  /** Where it ends, exclusive. */
  readonly end: number;
}

/** A piece of any SQL text: a token, or what stands between tokens. */
export interface Lexeme {
  readonly kind: TokenKind | "space" | "comment";
  /** Where it begins in the text. */
  readonly start: number;
  /** Where it ends, exclusive. */
  readonly end: number;
}

// One alternative per kind, in the order of KINDS. A character above ASCII is a letter to SQLite.
// A quote that is written twice doesn't end a string. One that nothing closes is an operator.
const PATTERN = new RegExp(
  [
    String.raw`([ \t\n\f\r\uFEFF]+)`,
    String.raw`(--[^\n]*|/\*[^]*?(?:\*/|$))`,
    String.raw`([xX]'[0-9a-fA-F]*')`,
    String.raw`('[^']*(?:''[^']*)*'(?!'))`,
    String.raw`("[^"]*(?:""[^"]*)*"(?!")|${"`[^`]*(?:``[^`]*)*`(?!`)"}|\[[^\]]*\])`,
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

/** Words that mean a value where they are bare, so that the same name in quotes stays in quotes. */
const VALUES = /^(null|true|false|current_(time|date|timestamp))$/;

/** The lexeme that begins at an offset; null at the end of the text. */
export function lexemeAt(sql: string, start: number): Lexeme | null {
  if (start >= sql.length) return null;
  PATTERN.lastIndex = start;
  const match = PATTERN.exec(sql);
  // The last alternative takes any character.
  let index = 0;
  while (match !== null && match[index + 1] === undefined) index++;
  return { kind: KINDS[index] ?? "operator", start, end: PATTERN.lastIndex };
}

/** Splits any text into lexemes, of which each begins where the one before it ends. */
export function lex(sql: string): Lexeme[] {
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

/** Makes small letters as SQLite compares names: of ASCII letters only. */
export function fold(name: string): string {
  return /[A-Z]/.test(name) ? name.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()) : name;
}

/** Tells whether a token is one of these bare words or operators, written in small letters. */
export function is(token: Token | undefined, ...values: readonly string[]): boolean {
  return token !== undefined && (token.kind === "word" || token.kind === "operator") &&
    values.includes(token.value);
}

/** The one canonical spelling of a list of tokens; no text that a person should read. */
export function render(tokens: readonly Token[]): string {
  return tokens.map(canonical).join(" ");
}

function canonical(token: Token): string {
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
 * Canonical spelling of SQL text: two texts with the same one differ only in white space, comments,
 * the case of words and names, quotes around names, `==` for `=`, `<>` for `!=`, and a last `;`.
 */
export function normalize(sql: string): string {
  const tokens = tokenize(sql);
  while (is(tokens.at(-1), ";")) tokens.pop();
  return render(tokens);
}

/** Index of the parenthesis that closes the one at `open`; the last index where none does. */
export function closing(tokens: readonly Token[], open: number): number {
  let depth = 0;
  for (let at = open; at < tokens.length; at++) {
    if (is(tokens[at], "(")) depth++;
    else if (is(tokens[at], ")") && --depth === 0) return at;
  }
  return tokens.length - 1;
}

/** The text from the first to the last of some tokens as it was written in `sql`. */
export function source(sql: string, tokens: readonly Token[]): string {
  return sql.slice(tokens[0]?.start ?? 0, tokens.at(-1)?.end ?? 0);
}

/** Splits the tokens between the parenthesis at `open` and its partner at its own commas. */
export function itemsOf(tokens: readonly Token[], open: number): Token[][] {
  const end = closing(tokens, open);
  const items: Token[][] = [[]];
  for (let at = open + 1; at < end; at++) {
    if (is(tokens[at], ",")) items.push([]);
    else {
      const last = is(tokens[at], "(") ? Math.min(closing(tokens, at), end - 1) : at;
      items.at(-1)?.push(...tokens.slice(at, last + 1));
      at = last;
    }
  }
  return items;
}

/** A name as an SQL identifier. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A text as an SQL literal; it must have no NUL. */
export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

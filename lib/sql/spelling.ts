/**
 * Spells the tokens of formatted SQL: keywords, names and spaces.
 *
 * @module
 */
import { fold, type Token, tokenIs } from "./tokens.ts";

/** A token as it appears in formatted text. */
export interface SpelledToken {
  readonly text: string;
  /** A bare word in lower case or an operator; empty for anything else. */
  readonly key: string;
  /** Whether a space precedes it within a line. */
  readonly gap: boolean;
}

/** Options of {@link spell}. */
interface SpellOptions {
  /** Tokens that are names because of their position, such as the name of a column in its definition. */
  readonly names: ReadonlySet<Token>;
  /**
   * Names of the columns in lower case. Double-quoted text that is not one of them is a string, as
   * SQLite treats it in old databases. Absent if the columns are unknown: such text is then unchanged.
   */
  readonly known?: ReadonlySet<string>;
  /** Whether the text is only an expression, not the definition of a column. Default `false`. */
  readonly isExpression?: boolean;
}

const wordsOf = (words: string): ReadonlySet<string> => new Set(words.split(" "));

/** Keywords that SQLite never treats as names. */
export const RESERVED: ReadonlySet<string> = wordsOf(
  "add all alter and as autoincrement between case check collate commit constraint create default " +
    "deferrable delete distinct drop else escape except exists foreign from group having in index " +
    "insert intersect into is isnull join limit not nothing notnull null on or order primary " +
    "references returning select set table then to transaction union unique update using values " +
    "when where",
);

/** Keywords that SQLite treats as names where possible, and bare words that are values. */
const DOUBTFUL = wordsOf(
  "abort action after always analyze asc attach before begin by cascade cast column conflict cross " +
    "current current_date current_time current_timestamp database deferred desc detach do each end " +
    "exclude exclusive explain fail false filter first following for full generated glob groups if " +
    "ignore immediate indexed initially inner instead key last left like match materialized natural " +
    "no nulls of offset others outer over partition plan pragma preceding query raise range " +
    "recursive regexp reindex release rename replace restrict right rollback row rows savepoint " +
    "temp temporary ties trigger true unbounded vacuum view virtual window with within without",
);

/** Words that are certainly keywords only after these. */
const FOLLOWERS: Readonly<Record<string, ReadonlySet<string>>> = {
  primary: wordsOf("key"),
  foreign: wordsOf("key"),
  order: wordsOf("by"),
  group: wordsOf("by"),
  on: wordsOf("conflict"),
  delete: wordsOf("cascade restrict"),
  update: wordsOf("cascade restrict"),
  deferrable: wordsOf("initially"),
  initially: wordsOf("deferred immediate"),
  or: wordsOf("abort fail ignore replace rollback"),
  with: wordsOf("recursive"),
  generated: wordsOf("always"),
  ")": wordsOf("stored virtual"),
};

/** Words that are certainly keywords only before these. */
const LEADERS: Readonly<Record<string, ReadonlySet<string>>> = {
  generated: wordsOf("always"),
  do: wordsOf("update nothing"),
  natural: wordsOf("join left right full inner cross"),
  left: wordsOf("join outer"),
  right: wordsOf("join outer"),
  full: wordsOf("join outer"),
  outer: wordsOf("join"),
  inner: wordsOf("join"),
  cross: wordsOf("join"),
};

const BEFORE_NAME = ["from", "join", "into", "table", "references", "as", "collate", "constraint"];
const CLAUSES = [
  ...["select", "from", "where", "group", "having", "order", "limit", "union", "except"],
  ...["intersect", "set", "returning", ";"],
];

/** Formats a name, with quotes only if it needs them. */
export function spellName(name: string): string {
  const folded = fold(name);
  const plain = /^[a-z_][a-z0-9_]*$/.test(folded) && !RESERVED.has(folded) && !DOUBTFUL.has(folded);
  return plain ? name : `"${name.replaceAll('"', '""')}"`;
}

/** Spells tokens consistently: keywords in upper case, names without unnecessary quotes. */
export function spell(tokens: readonly Token[], options: SpellOptions): SpelledToken[] {
  const roles = rolesOf(tokens);
  const open = options.isExpression ? -1 : tokens.findIndex((token) => tokenIs(token, "("));
  return tokens.map((token, at) => {
    const bare = token.kind === "word" || token.kind === "operator";
    // The type of a column, which precedes any parenthesis, may be quoted too.
    const isInExpression = options.isExpression || (open !== -1 && at > open) ||
      tokenIs(tokens[at - 1], "default");
    const spelled = (): string => {
      if (options.names.has(token) || roles.names.has(token)) {
        return spellName(token.kind === "word" ? token.text : token.value);
      }
      if (roles.keywords.has(token) || isCertain(tokens, at)) return token.text.toUpperCase();
      if (token.kind !== "quoted") return token.text;
      if (!token.text.startsWith('"')) return spellName(token.value);
      if (options.known === undefined || !isInExpression) return token.text;
      const isColumn = options.known.has(fold(token.value)) && !tokenIs(tokens[at - 1], "default");
      return isColumn ? spellName(token.value) : `'${token.value.replaceAll("'", "''")}'`;
    };
    return {
      text: spelled(),
      key: bare ? token.value : "",
      gap: at > 0 && hasGap(tokens, at, options.names),
    };
  });
}

function isCertain(tokens: readonly Token[], at: number): boolean {
  const token = tokens[at];
  const before = tokens[at - 1];
  const next = tokens[at + 1];
  if (token?.kind !== "word") return false;
  if (RESERVED.has(token.value)) return true;
  if (before !== undefined && before.kind !== "quoted" && before.kind !== "string") {
    if (FOLLOWERS[before.value]?.has(token.value)) return true;
  }
  if (next?.kind === "word" && LEADERS[token.value]?.has(next.value)) return true;
  // The start of a statement or a query.
  return token.value === "with" && (next?.kind === "word" || next?.kind === "quoted") &&
    (before === undefined || tokenIs(before, "as", "(", ";", "begin"));
}

/** Roles of tokens that depend on their context. */
interface Roles {
  /** Double-quoted tokens that are names rather than strings. */
  readonly names: ReadonlySet<Token>;
  /** Words that are keywords. */
  readonly keywords: ReadonlySet<Token>;
}

function rolesOf(tokens: readonly Token[]): Roles {
  const names = new Set<Token>();
  const keywords = new Set<Token>();
  const level = (list: boolean, terms: boolean) => ({ clause: "", cases: 0, list, terms });
  const levels = [level(false, false)];
  for (const [at, token] of tokens.entries()) {
    const before = tokens[at - 1];
    const current = levels.at(-1) ?? level(false, false);
    if (tokenIs(token, "(")) {
      levels.push(level(isListOfNames(tokens, at), isListOfTerms(tokens, at)));
    } else if (tokenIs(token, ")") && levels.length > 1) levels.pop();
    else if (tokenIs(token, "case")) current.cases++;
    else if (tokenIs(token, "end") && current.cases > 0) {
      current.cases--;
      keywords.add(token);
    } else if (tokenIs(token, ...CLAUSES) && !tokenIs(before, "distinct")) {
      current.clause = token.value;
      current.terms = tokenIs(token, "order");
    } else if (tokenIs(token, "offset") && current.clause === "limit" && isOperand(before)) {
      keywords.add(token);
    } else if (tokenIs(token, "asc", "desc") && current.terms && isOperand(before)) {
      keywords.add(token);
    }
    const next = tokens[at + 1];
    const isName = current.list || tokenIs(before, ".") || tokenIs(next, ".") ||
      tokenIs(before, ...BEFORE_NAME) || (tokenIs(before, "update") && tokenIs(next, "set")) ||
      (tokenIs(before, ",") && current.clause === "from") ||
      (tokenIs(before, ",", "set") && current.clause === "set" && tokenIs(next, "="));
    if (token.kind === "quoted" && isName) names.add(token);
  }
  return { names, keywords };
}

/** Whether a token ends an operand, so it is not an operator, comma or keyword. */
function isOperand(token: Token | undefined): boolean {
  if (token === undefined) return false;
  if (token.kind === "operator") return token.value === ")";
  return token.kind !== "word" || !RESERVED.has(token.value) ||
    tokenIs(token, "null", "isnull", "notnull");
}

/** Whether a parenthesis contains terms of an index or key, which may have a sort order. */
function isListOfTerms(tokens: readonly Token[], open: number): boolean {
  return tokenIs(tokens[open - 2], "on") && tokenIs(tokens[0], "create") ||
    tokenIs(tokens[open - 1], "key", "unique");
}

function isListOfNames(tokens: readonly Token[], open: number): boolean {
  return tokenIs(tokens[open - 1], "using", "conflict") ||
    tokenIs(tokens[open - 2], "references", "into", "with", "recursive") ||
    (open === 3 && tokenIs(tokens[1], "view"));
}

function hasGap(tokens: readonly Token[], at: number, headers: ReadonlySet<Token>): boolean {
  const token = tokens[at];
  const before = tokens[at - 1];
  const earlier = tokens[at - 2];
  if (tokenIs(token, ",", ";", ")", ".") || tokenIs(before, "(", ".")) return false;
  if (tokenIs(before, "-", "+", "~") && isSign(before, earlier)) {
    // Two minus signs in a row would start a comment.
    return tokenIs(token, "-", "->", "->>");
  }
  if (!tokenIs(token, "(") || before === undefined) return true;
  if (headers.has(before) || tokenIs(earlier, "references", "into", "with", "recursive")) {
    return true;
  }
  if (tokenIs(before, "key") && tokenIs(earlier, "primary", "foreign")) return true;
  if (before.kind === "quoted") return false;
  return before.kind !== "word" || RESERVED.has(before.value) ||
    tokenIs(before, "over", "filter", "materialized", "conflict");
}

function isSign(sign: Token | undefined, before: Token | undefined): boolean {
  return tokenIs(sign, "~") || !isOperand(before);
}

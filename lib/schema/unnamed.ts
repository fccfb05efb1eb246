import { RESERVED } from "../sql/spelling.ts";
import { is, itemsOf, type Token } from "../sql/tokens.ts";

/**
 * Makes one token, with the text as it was written, of each column of a SELECT that has neither a name
 * nor is a column itself: its text, white space and comments included, is its name.
 */
export function keepUnnamed(sql: string, tokens: readonly Token[]): Token[] {
  const kept: Token[] = [];
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at];
    if (token === undefined) break;
    kept.push(token);
    if (!is(token, "select") || !isNaming(tokens, at)) continue;
    const quantifier = tokens[at + 1];
    const isQuantified = quantifier !== undefined && is(quantifier, "distinct", "all");
    if (isQuantified) kept.push(quantifier);
    const start = at + (isQuantified ? 2 : 1);
    const end = endOfColumns(tokens, start);
    const columns = columnsOf(tokens, start, end);
    for (const [place, column] of columns.entries()) {
      const next = tokens[tokens.indexOf(column.at(-1) ?? token) + 1];
      kept.push(...(isNamed(column) ? keepUnnamed(sql, column) : [verbatim(sql, column, next)]));
      // The comma, which is the next token.
      if (place < columns.length - 1 && next !== undefined) kept.push(next);
    }
    at = end - 1;
  }
  return kept;
}

/** Whether the names of a SELECT's columns may count: not in a comparison, nor behind a UNION. */
function isNaming(tokens: readonly Token[], select: number): boolean {
  const before = tokens[select - 1];
  if (is(before, "union", "all", "except", "intersect", ";", "begin")) return false;
  if (!is(before, "(")) return true;
  const user = tokens[select - 2];
  if (user?.kind === "operator") return is(user, ",", "(");
  return user?.kind !== "word" || !RESERVED.has(user.value) || is(user, "from", "join", "as");
}

const AFTER_COLUMNS = "from where group having order limit union except intersect ;".split(" ");

function endOfColumns(tokens: readonly Token[], start: number): number {
  let depth = 0;
  for (let at = start; at < tokens.length; at++) {
    const token = tokens[at];
    if (is(token, "(")) depth++;
    else if (is(token, ")") && --depth < 0) return at;
    else if (depth === 0 && is(token, ...AFTER_COLUMNS) && !is(tokens[at - 1], "distinct")) {
      return at;
    }
  }
  return tokens.length;
}

function columnsOf(tokens: readonly Token[], start: number, end: number): Token[][] {
  // Between parentheses that aren't there, since that is what `itemsOf` splits.
  const parenthesis = (value: string): Token => (
    { kind: "operator", value, text: value, start: 0, end: 0 }
  );
  return itemsOf([parenthesis("("), ...tokens.slice(start, end), parenthesis(")")], 0);
}

function isNamed(column: readonly Token[]): boolean {
  const isName = (token: Token | undefined): boolean =>
    token?.kind === "quoted" || is(token, "*") ||
    (token?.kind === "word" && !RESERVED.has(token.value));
  const [first, second] = column;
  if (column.length === 1) return isName(first);
  if (is(column.at(-2), "as")) return true;
  return isName(first) && is(second, ".") && column.length <= 5 && isName(column.at(-1)) &&
    is(column.at(-2), ".");
}

function verbatim(sql: string, column: readonly Token[], next: Token | undefined): Token {
  const start = column[0]?.start ?? 0;
  const end = next?.start ?? column.at(-1)?.end ?? 0;
  // SQLite counts a comment behind it as part of it; what follows must not become part of that.
  const text = sql.slice(start, end).trimEnd();
  const ends = /--[^\n]*$/.test(text) ? "\n" : "";
  return { kind: "string", value: text, text: text + ends, start, end };
}

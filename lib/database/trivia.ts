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

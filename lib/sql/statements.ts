import { lex, type Lexeme, lexemeAt } from "./tokens.ts";

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
interface StatementRange {
  readonly start: number;
  /** Exclusive; behind the semicolon, where there is one. */
  readonly end: number;
}

/** The statements of an SQL text, as far as they can be told. */
interface Statements {
  readonly statements: readonly StatementRange[];
  /** Null if all that begins has an end. */
  readonly unfinished: Unfinished | null;
}

/**
 * Splits an SQL text at the semicolons that end a statement: not at those in quotes, in comments and in
 * the body of a trigger. It needs no database and looks at no grammar.
 */
export function splitStatements(sql: string): Statements {
  const statements: StatementRange[] = [];
  let start = -1;
  let head = ""; // the first words, as far as they may begin a trigger
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
      // As SQLite's own shell tells it: a trigger ends with END right behind a semicolon.
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

/** A statement with a semicolon behind it, also where it ends in a comment. */
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
 * Offset of the first character of `sql`, from `start` on, that belongs to a statement: white space,
 * comments, semicolons and a byte-order mark are skipped. `sql.length` where nothing follows.
 *
 * A driver must never be given text that holds no statement: Deno's `node:sqlite` crashes the
 * process when it is asked for the source text of such a statement.
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

/** Length to which {@link firstStatement} cuts a text, in characters. */
const LONGEST = 10_000;

/**
 * The first statement of a text that SQLite can't parse, for a message only: it ends at the first
 * semicolon outside of quotes and comments, so a trigger is cut short, and a very long one is cut.
 */
export function firstStatement(sql: string): string {
  const text = sql.slice(0, LONGEST);
  return text.slice(0, lex(text).find(({ start }) => text[start] === ";")?.start);
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

/** The text without what has no meaning. */
export function canonical(sql: string): string {
  const text = sql.replace(/^\uFEFF/, "").replaceAll("\r\n", "\n");
  return lex(text).map(({ kind, start, end }) => {
    if (kind === "comment") return " ";
    const piece = text.slice(start, end);
    // A line break inside quotes is part of the text, and must not be taken for the end of a line.
    return kind === "string" || kind === "quoted" ? piece.replaceAll("\n", "\0") : piece;
  }).join("").split("\n").map((line) => line.trimEnd()).filter((line) => line !== "").join("\n");
}

/** A statement on one line, with each run of white space as one space. */
export function onOneLine(sql: string): string {
  return sql.trim().replace(/\s+/g, " ");
}

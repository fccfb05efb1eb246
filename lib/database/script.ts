import type { ScriptOptions } from "./connection.ts";
import { translate } from "./failure.ts";

/** Milliseconds after which many statements let the host's event loop go on. */
const YIELD_AFTER = 50;

/**
 * Makes a function that is called before each statement. Now and then it returns what to wait for:
 * the driver never waits, so that neither Ctrl-C nor anything else of the host would be heard until the
 * end.
 */
export function createBreather(): () => Promise<void> | undefined {
  let last = performance.now();
  let pause: Promise<void> | undefined; // one for all who wait, so that they go on in their order
  return () => {
    if (pause === undefined && performance.now() - last > YIELD_AFTER) {
      pause = new Promise((resolve) =>
        setTimeout(() => {
          last = performance.now();
          pause = undefined;
          resolve();
        })
      );
    }
    return pause;
  };
}

/** The first statement of a text, prepared by the driver. */
interface PreparedStep {
  /** Its source text, as SQLite delimited it. */
  readonly sql: string;
  readonly run: () => unknown;
}

/** What a driver brings to run a script. */
interface ScriptDriver extends ScriptOptions {
  /** Prepares the first statement of a text that holds at least one. */
  readonly step: (rest: string) => PreparedStep;
  /** The database, as a person would name it. */
  readonly label: string;
}

/**
 * Runs a script statement by statement. SQLite's own parser finds where a statement ends, so
 * triggers, strings and comments need no care here.
 */
export async function runScript(sql: string, driver: ScriptDriver): Promise<void> {
  const failed = (error: unknown, statement: string, at: number) =>
    translate(error, { verb: "change", label: driver.label, statement, line: lineOf(sql, at) });
  const nul = sql.indexOf("\0");
  if (nul !== -1) {
    // SQLite stops there: the rest would silently not be run, and where it stops holds no statement.
    throw failed(new Error("the SQL has a NUL character"), sql, nul);
  }
  const breathe = createBreather();
  let at = skipTrivia(sql, 0);
  while (at < sql.length) {
    const rest = sql.slice(at);
    let length: number | null = null;
    try {
      const step = driver.step(rest);
      length = step.sql.length;
      driver.onStatement?.(step.sql);
      if (driver.around === undefined) step.run();
      else await driver.around({ sql: step.sql, line: lineOf(sql, at), run: step.run });
    } catch (error) {
      const statement = length === null ? firstStatement(rest) : rest.slice(0, length);
      throw failed(error, statement, at);
    }
    at = skipTrivia(sql, at + length);
    const pause = breathe();
    if (pause !== undefined) await pause;
  }
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

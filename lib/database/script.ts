import { createYielder } from "../base/event_loop.ts";
import { firstStatement, lineOf, skipTrivia } from "../sql/statements.ts";
import type { Connection, ScriptOptions } from "./connection.ts";
import { driverMessage, translate } from "./failure.ts";

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
  const yielder = createYielder();
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
    const pause = yielder();
    if (pause !== undefined) await pause;
  }
}

/** Strings, names in double quotes, and comments. */
const QUOTED = /'[^']*'|"([^"]*(?:""[^"]*)*)"|--[^\n]*|\/\*[^]*?\*\//g;

/**
 * Refuses a statement in which a text in double quotes is no name, so that SQLite would take it for a
 * string: mistyped columns would silently compare with a constant. In backticks it is a name only.
 *
 * @throws {Error} where there is one; what else is wrong with the statement SQLite says when it runs.
 */
export async function refuseTextAsName(
  connection: Pick<Connection, "all">,
  sql: string,
): Promise<void> {
  if (!sql.includes('"') || /^pragma\b/i.test(sql)) return;
  const strict = sql.replaceAll(
    QUOTED,
    (all: string, name: string | undefined) =>
      name === undefined ? all : `\`${name.replaceAll('""', '"').replaceAll("`", "``")}\``,
  );
  if (strict === sql) return;
  try {
    await connection.all(`EXPLAIN ${strict}`);
  } catch (error) {
    const [, name] = /^no such column: (.*)$/s.exec(driverMessage(error)) ?? [];
    if (name === undefined) return;
    throw new Error(
      `no such column: "${name}" - should this be a string literal in single-quotes?`,
    );
  }
}

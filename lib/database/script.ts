import { createYielder } from "../base/event_loop.ts";
import { firstStatement, lineOf, skipTrivia } from "../sql/tokens.ts";
import type { Connection, ScriptOptions } from "./connection.ts";
import { driverMessage, translate } from "./failure.ts";

/** The first statement of a text, prepared by the driver. */
interface PreparedStep {
  /** Its source text, as delimited by SQLite. */
  readonly sql: string;
  readonly run: () => unknown;
}

/** What a driver provides to run a script. */
interface ScriptDriver extends ScriptOptions {
  /** Prepares the first statement of a text that contains at least one. */
  readonly step: (rest: string) => PreparedStep;
  /** Name of the database in messages. */
  readonly label: string;
}

/**
 * Runs a script statement by statement. SQLite's parser finds the end of each statement, so triggers,
 * strings and comments need no special treatment.
 */
export async function runScript(sql: string, driver: ScriptDriver): Promise<void> {
  const failed = (error: unknown, statement: string, at: number) =>
    translate(error, { verb: "change", label: driver.label, statement, line: lineOf(sql, at) });
  const nul = sql.indexOf("\0");
  if (nul !== -1) {
    // SQLite stops at a NUL and would silently skip the rest.
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
 * Refuses a statement with a double-quoted text that is not a name. SQLite would treat it as a string,
 * so a mistyped column would silently become a constant. Backticks quote names only.
 *
 * @throws {Error} if there is one. SQLite reports other errors when the statement runs.
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

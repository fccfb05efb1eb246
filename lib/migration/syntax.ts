/**
 * Finds syntax errors in SQL migrations with SQLite's parser, before anything runs.
 *
 * @module
 */
import type { NodeSqliteConnection } from "../database/node_sqlite.ts";
import { openMemory } from "../database/open.ts";
import { excerpt } from "../base/excerpt.ts";
import type { Migration, MigrationBody } from "./migration.ts";
import { faultIn, unfinishedFault } from "./file.ts";
import { splitStatements } from "../sql/tokens.ts";

/** Errors that do not depend on the existing tables. Others depend on the migrations before. */
const SYNTAX_ERROR = /^(?:near "[^]*": syntax error|unrecognized token: "[^]*|incomplete input)$/;

/** Migrations whose syntax is valid. A plan is made twice, before and after the lock is taken. */
const checked = new WeakSet<Migration>();

/**
 * Checks the syntax of SQL migrations from files with SQLite's parser, before the first statement runs.
 *
 * @throws {MigrationFileError} for the first error, with its position and a caret below it.
 */
export function refuseSyntaxErrors(migrations: readonly Migration[]): void {
  using parser = openMemory();
  for (const migration of migrations) {
    if (migration.source === undefined || checked.has(migration)) continue;
    checkBody(parser, migration, migration.upgrade, migration.source.upgradeLine);
    checkBody(parser, migration, migration.downgrade, migration.source.downgradeLine);
    checked.add(migration);
  }
}

function checkBody(
  parser: NodeSqliteConnection,
  { name, source }: Migration,
  body: MigrationBody | undefined,
  firstLine: number | undefined,
): void {
  if (typeof body !== "string" || source === undefined) return;
  const place = { path: source.path, name, firstLine: firstLine ?? 1 };
  const { statements, unfinished } = splitStatements(body);
  for (const { start, end } of statements) {
    const statement = body.slice(start, end);
    // Some pragmas take effect when they are prepared.
    if (/^pragma\b/i.test(statement)) continue;
    const message = parser.errorIn(statement);
    if (message === null || !SYNTAX_ERROR.test(message)) continue;
    const at = start + (faultAt(parser, statement, message) ?? 0);
    throw faultIn(body, {
      ...place,
      at,
      from: start,
      reason: message,
      help: "correct the statement; nothing was run",
    });
  }
  if (unfinished !== null) {
    const { what, at, statement } = unfinished;
    throw faultIn(body, { ...place, ...unfinishedFault(what), at, from: statement });
  }
}

/**
 * Position of SQLite's error in a statement: the first occurrence of the token named in the message at
 * which the statement, truncated after it, causes the same error. Null if it cannot be determined.
 */
function faultAt(parser: NodeSqliteConnection, statement: string, message: string): number | null {
  if (message === "incomplete input") return statement.trimEnd().length;
  const named = /^(?:near|unrecognized token:) "([^]*?)"(?:: syntax error)?$/.exec(message)?.[1];
  if (named === undefined || named === "") return null;
  const places: number[] = [];
  for (let at = statement.indexOf(named); at !== -1; at = statement.indexOf(named, at + 1)) {
    places.push(at);
    if (places.length === MOST_PLACES) return null;
  }
  if (places.length === 1) return places[0] ?? null;
  return places.find((at) => parser.errorIn(statement.slice(0, at + named.length)) === message) ??
    null;
}

/** Maximum number of occurrences to try, which limits the time. */
const MOST_PLACES = 200;

/** The line of a failed statement, with a caret at the position of SQLite's error. */
export function showFailure(
  sql: string,
  { statement, line, firstLine, message }: {
    readonly statement: string;
    /** Line of `sql` on which the statement begins. */
    readonly line: number;
    /** Line number of the first line of `sql`. */
    readonly firstLine: number;
    readonly message: string;
  },
): string {
  let from = 0;
  for (let skipped = 1; skipped < line; skipped++) from = sql.indexOf("\n", from) + 1;
  const start = sql.indexOf(statement, from);
  if (start === -1) return "";
  using parser = openMemory();
  const fault = SYNTAX_ERROR.test(message) ? faultAt(parser, statement, message) : null;
  return excerpt(sql, { at: start + (fault ?? 0), from: start, firstLine, caret: fault !== null });
}

import { type Connection, text } from "../database/connection.ts";
import { StatementError } from "../base/errors.ts";
import { driverMessage } from "../database/failure.ts";
import { fold, tokenize } from "../sql/tokens.ts";
import type { Fault } from "./finding.ts";
import type { RecordedStatement } from "./recorder.ts";
import type { SimulatedUpgrade } from "./simulation.ts";

/** Different statements of one migration that the server is asked about. */
const MOST_STATEMENTS = 500;

/** Statements that a server refuses when they are run; it explains them nevertheless. */
const REFUSED = /^\s*(VACUUM|ANALYZE|CREATE\s+TEMP(ORARY)?)\b/i;

/**
 * What the server says against a statement that it can't parse. Anything else may be because the
 * statements before it have not been run there.
 */
const UNKNOWN =
  /syntax error|bad number|unrecognized token|no such function|wrong number of arg|unsupported statement/;

/** Words after which a name is not that of a function, though a parenthesis follows. */
const NO_CALL = new Set(["table", "into", "exists", "references", "on", "with", "as", ","]);

/** Statements that run here and would not run on the server, whose SQLite is older. */
export async function serverFaults(simulated: SimulatedUpgrade): Promise<Fault[]> {
  const { server, run, scratch } = simulated;
  if (server === null) return [];
  const statements = run.statements.filter(({ forbidden }) => forbidden === null);
  const foreign = await newerFunctions(scratch.connection, server);
  const first = new Map<string, RecordedStatement>();
  for (const one of statements) if (!first.has(one.sql)) first.set(one.sql, one);
  const version = text(await server.get("SELECT sqlite_version() AS version") ?? {}, "version");
  const faults: Fault[] = [];
  for (const statement of [...first.values()].slice(0, MOST_STATEMENTS)) {
    const reason = functionIn(statement.sql, foreign) ?? await objection(server, statement.sql);
    if (reason === null) continue;
    faults.push({
      code: "server-refuses",
      place: statement,
      reason: `the server, which has SQLite ${version}, would refuse it: ${reason}`,
      fix: "write it without what that version lacks, or move the database into a file",
    });
  }
  return faults;
}

/** Functions that SQLite has here and not on the server, such as `unistr`. */
async function newerFunctions(
  here: Connection,
  server: Connection,
): Promise<ReadonlySet<string>> {
  const read = async (connection: Connection) =>
    (await connection.all("SELECT DISTINCT name FROM pragma_function_list"))
      .map((row) => fold(text(row, "name")));
  return new Set(await read(here)).difference(new Set(await read(server)));
}

/** The first call of one of some functions, in words. It may be in a view or trigger, which SQLite reads later. */
function functionIn(sql: string, functions: ReadonlySet<string>): string | null {
  const tokens = tokenize(sql);
  const call = tokens.find(({ kind, value }, at) =>
    kind === "word" && functions.has(value) && tokens[at + 1]?.value === "(" &&
    !NO_CALL.has(tokens[at - 1]?.value ?? "")
  );
  return call === undefined ? null : `it has no function ${call.value}()`;
}

/** What the server says against a statement, as far as it says so without running it. */
async function objection(server: Connection, sql: string): Promise<string | null> {
  if (REFUSED.test(sql)) return "it does not allow such statements";
  try {
    await server.all(`EXPLAIN ${sql}`);
    return null;
  } catch (error) {
    if (!(error instanceof StatementError)) throw error;
    const reason = driverMessage(error);
    if (/^unsupported statement/.test(reason)) return "it does not allow this statement";
    // Its own parser says where in the text that it was given, which begins with EXPLAIN.
    return UNKNOWN.test(reason) ? reason.replace(/ at \(\d+, \d+\)$/, "") : null;
  }
}

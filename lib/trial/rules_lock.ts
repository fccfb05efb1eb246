import { StatementError } from "../base/errors.ts";
import { type Connection, text } from "../database/connection.ts";
import { driverMessage } from "../database/failure.ts";
import { LEASE_SECONDS } from "../database/location.ts";
import { fold, tokenize } from "../sql/tokens.ts";
import { rowChanges } from "./authorizer.ts";
import { describeRows, type Fault } from "./finding.ts";
import type { TableLineage } from "./lineage.ts";
import type { RecordedStatement } from "./recorder.ts";
import type { SimulatedUpgrade } from "./simulation.ts";

/** Seconds for a million rows of about 60 bytes, measured on a server with an SSD and rounded. */
const SECONDS = { index: 1.2, copy: 0.6, update: 0.5, scan: 0.3, rewrite: 0.5, delete: 0.3 };

/** Factor by which a server is slower. */
export const SERVER_FACTOR = 2;

type Work = keyof typeof SECONDS;

const WORDS: Readonly<Record<Work, string>> = {
  index: "it creates an index over",
  copy: "it copies",
  update: "it updates all",
  scan: "it checks all",
  rewrite: "it rewrites all",
  delete: "it deletes one by one",
};

/** Statements that block the bot's writes for long, because a table has many rows. */
export async function lockFaults(simulated: SimulatedUpgrade): Promise<Fault[]> {
  const { at, run, largeTable, server } = simulated;
  const faults: Fault[] = [];
  for (const statement of run.statements) {
    if (statement.forbidden !== null) continue;
    for (const [table, work] of worksOf(statement)) {
      const lineage = at.get(statement)?.named(table);
      if (lineage === undefined) continue;
      const rows = await rowsOf(simulated, lineage);
      if (rows === null || rows <= largeTable) continue;
      const factor = server === null ? 1 : SERVER_FACTOR;
      const seconds = Math.max(1, Math.round(rows / 1e6 * SECONDS[work] * factor));
      const what = `${WORDS[work]} ${describeRows(rows)} of "${table}"`;
      faults.push({
        code: "long-lock",
        severity: "warning",
        place: statement,
        ...server === null
          ? {
            reason: `${what}: no other program can write for about ${seconds} s (an estimate)`,
            fix: "apply it while the bot is stopped; `rehearse` measures how long it takes",
          }
          : {
            reason:
              `${what}, which takes about ${seconds} s on a server (an estimate); if another ` +
              `client wants to write, the server rolls a transaction back after ${LEASE_SECONDS} s`,
            fix: "stop the programs that write to this database, then apply it; " +
              "`rehearse --data` measures how long it takes here",
          },
      });
    }
  }
  return faults;
}

/** Rows of a table, including those copied into a table that the migration creates. */
async function rowsOf(
  { lineages, rowCounts }: SimulatedUpgrade,
  lineage: TableLineage,
): Promise<number | null> {
  const from = lineage.original !== null
    ? [lineage]
    : lineages.filter((one) => one.copies.some(({ into }) => into === lineage));
  const counts = await Promise.all(from.map((one) => rowCounts.count(one)));
  return counts.reduce((sum, rows) => sum === null || rows === null ? null : sum + rows, 0);
}

/**
 * The work of a statement that depends on the number of rows: its tables, each with the most
 * expensive work.
 */
function worksOf(statement: RecordedStatement): Map<string, Work> {
  const works = new Map<string, Work>();
  const { events, altered } = statement;
  for (const { action, first, second } of events) {
    if (action === "create-index" && !/^sqlite_autoindex_/i.test(first)) works.set(second, "index");
    if (action === "alter-table" && altered !== null && altered.dropped.length > 0) {
      works.set(second, "rewrite");
    }
    // ALTER TABLE checks existing rows against a new rule this way.
    if (action === "pragma" && first === "quick_check") works.set(second, "scan");
  }
  const changes = rowChanges(events);
  for (const { table, kind, whole } of changes) {
    if (whole && kind === "update") works.set(table, "update");
    // Without triggers SQLite deletes all rows in one step.
    if (whole && kind === "delete" && events.some(({ cause }) => cause !== null)) {
      works.set(table, "delete");
    }
  }
  const makes = events.some(({ action }) => action === "create-table");
  if (makes || changes.some(({ kind }) => kind === "insert")) {
    for (const { action, first, second } of events) {
      if (action === "read" && second !== "" && !changes.some(({ table }) => table === first)) {
        works.set(first, "copy");
      }
    }
  }
  return works;
}

/** Maximum number of different statements per migration that the server is asked about. */
const MOST_STATEMENTS = 500;

/** Statements that a server refuses to run, although it explains them. */
const REFUSED = /^\s*(VACUUM|ANALYZE|CREATE\s+TEMP(ORARY)?)\b/i;

/**
 * The server's errors for statements that it can't parse. Other errors may occur because the
 * statements before it have not been run there.
 */
const UNKNOWN =
  /syntax error|bad number|unrecognized token|no such function|wrong number of arg|unsupported statement/;

/** Words after which a name with a parenthesis is not a function call. */
const NO_CALL = new Set(["table", "into", "exists", "references", "on", "with", "as", ","]);

/** Statements that run here, but would not run on the server with its older SQLite. */
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
      fix: "write it without features that this version lacks, or move the database into a file",
    });
  }
  return faults;
}

/** Functions that SQLite has here, but not on the server, such as `unistr`. */
async function newerFunctions(
  here: Connection,
  server: Connection,
): Promise<ReadonlySet<string>> {
  const read = async (connection: Connection) =>
    (await connection.all("SELECT DISTINCT name FROM pragma_function_list"))
      .map((row) => fold(text(row, "name")));
  return new Set(await read(here)).difference(new Set(await read(server)));
}

/**
 * The first call of one of some functions, as text. It may be in a view or trigger, which SQLite
 * reads later.
 */
function functionIn(sql: string, functions: ReadonlySet<string>): string | null {
  const tokens = tokenize(sql);
  const call = tokens.find(({ kind, value }, at) =>
    kind === "word" && functions.has(value) && tokens[at + 1]?.value === "(" &&
    !NO_CALL.has(tokens[at - 1]?.value ?? "")
  );
  return call === undefined ? null : `it has no function ${call.value}()`;
}

/** The server's error for a statement, as far as it is known without running it. */
async function objection(server: Connection, sql: string): Promise<string | null> {
  if (REFUSED.test(sql)) return "it does not allow such statements";
  try {
    await server.all(`EXPLAIN ${sql}`);
    return null;
  } catch (error) {
    if (!(error instanceof StatementError)) throw error;
    const reason = driverMessage(error);
    if (/^unsupported statement/.test(reason)) return "it does not allow this statement";
    // The server's parser gives a position in the text that it received, which begins with EXPLAIN.
    return UNKNOWN.test(reason) ? reason.replace(/ at \(\d+, \d+\)$/, "") : null;
  }
}

/**
 * Queries, figures, and a page with charts. Each part is loaded when it is called, so that a
 * program that only migrates does not load them.
 *
 * @module
 */
import type { DatabaseSource } from "../database/location.ts";
import type { ReportOptions } from "./make_report.ts";
import type { QueryOptions, QueryResult } from "./query.ts";
import type { Report } from "./report.ts";

/**
 * Reads rows with one statement. SQLite itself refuses everything but reading: the database is
 * opened for reading, and an authorizer allows nothing else. With a `timeout` or a `signal` the
 * statement runs on a thread. An interrupted thread ends as soon as SQLite returns, and the promise
 * does not wait for it. A database that the caller has open is read on this thread, and cannot be
 * interrupted.
 *
 * @param source Path, `file:` URL or an open `DatabaseSync`. Needs read permission on it; for a WAL
 * database write permission on its directory too.
 *
 * @throws {UsageError} if it is not exactly one statement, or a parameter has no value.
 * @throws {StatementError} if SQLite rejects the statement, because it is invalid or not read-only.
 * @throws {QueryTimeoutError} if it takes longer than `timeout`.
 * @throws {LocationError} if the database does not exist.
 *
 * @example Read open positions
 * ```ts
 * import { createCatalystMigrator, runQuery } from "@catalyst/migrate";
 *
 * const dataDir = await Deno.makeTempDir();
 * await createCatalystMigrator({ dataDir }).upgrade();
 * const { columns, rows } = await runQuery(`${dataDir}/positions.db`, {
 *   sql: "SELECT ticker, quantity FROM positions WHERE side = :side",
 *   parameters: { side: "long" },
 * });
 * console.assert(columns.join() === "ticker,quantity" && rows.length === 0);
 * ```
 */
export async function runQuery(
  source: DatabaseSource,
  options: QueryOptions,
): Promise<QueryResult> {
  const { runQuery } = await import("./query.ts");
  return await runQuery(source, options);
}

/**
 * Computes a report of the bot's databases. It opens them for reading, each in one transaction, so
 * the bot may keep trading. A missing database or table is left out and listed in `notes`. Needs
 * read permission on the databases.
 *
 * @throws {LocationError} if none of the databases exists.
 * @throws {NotADatabaseError | CorruptDatabaseError} if a file is not a database, or is damaged.
 * @throws {DatabaseLockedError} if a lock was not released in time.
 *
 * @example Find the win rate of a strategy
 * ```ts
 * import { computeReport, createCatalystMigrator } from "@catalyst/migrate";
 *
 * const dataDir = await Deno.makeTempDir();
 * await createCatalystMigrator({ dataDir }).upgrade();
 * const { trades } = await computeReport({ dataDir, strategy: "momentum" });
 * console.assert(trades.all.winRate === null && trades.all.reasons.winRate === "no closed positions");
 * ```
 */
export async function computeReport(options: ReportOptions = {}): Promise<Report> {
  const { computeReport } = await import("./make_report.ts");
  return await computeReport(options);
}

/**
 * Writes a report as one HTML page with charts that opens offline in any browser: it has no script and
 * loads nothing. Everything from a database is escaped. The chart library is loaded at the first call,
 * from npm if it is not in Deno's cache yet.
 *
 * @throws {AccessError} if the chart library cannot be loaded.
 *
 * @example Write a page
 * ```ts
 * import { computeReport, createCatalystMigrator, renderReport } from "@catalyst/migrate";
 *
 * const dataDir = await Deno.makeTempDir();
 * await createCatalystMigrator({ dataDir }).upgrade();
 * const page = await renderReport(await computeReport({ dataDir }));
 * console.assert(page.startsWith("<!doctype html>"));
 * ```
 */
export async function renderReport(report: Report): Promise<string> {
  const { renderReport } = await import("./make_report.ts");
  return await renderReport(report);
}

/**
 * Reads the bot's databases and makes a report of them, as data and as a page.
 *
 * @module
 */
import { AccessError, LocationError } from "../base/errors.ts";
import { formatDate, messageOf } from "../base/format.ts";
import {
  type Connection,
  type ConnectionSettings,
  defaultSettings,
} from "../database/connection.ts";
import { type DatabaseSource, locate, sourceOf, statDatabase } from "../database/location.ts";
import { openForReading, openMemory } from "../database/open.ts";
import { withSnapshot } from "../database/transaction.ts";
import { requireKnownDatabase, type Workspace } from "../state/workspace.ts";
import { type ChartModule, renderPage } from "./page.ts";
import { LEDGER_ALIAS } from "./queries.ts";
import { type QueryOptions, type QueryResult, runQuery } from "./query.ts";
import {
  readFills,
  readOrders,
  readSnapshots,
  readStoredMetrics,
  readTrades,
  readTraining,
} from "./read.ts";
import {
  buildReport,
  type Report,
  type ReportData,
  type ReportDatabase,
  type ReportFilter,
} from "./report.ts";

/** Names of the databases that a report reads. */
const DATABASES: readonly ReportDatabase[] = ["positions", "trading", "ml_training"];

/** What a report is computed from, and which rows it includes. */
export interface ReportOptions extends ReportFilter {
  /** Directory of the databases. Default `data`. */
  readonly dataDir?: string;
  /** Databases in other locations, or open in the program. Default: files in `dataDir`. */
  readonly databases?: Partial<Readonly<Record<ReportDatabase, DatabaseSource>>>;
  /** Connection settings that override the defaults. */
  readonly settings?: Partial<ConnectionSettings>;
}

/** Computes a report; see `computeReport` of the package. */
export async function computeReport(options: ReportOptions = {}): Promise<Report> {
  const { dataDir = "data", databases = {}, settings, ...filter } = options;
  const directory = dataDir.replace(/[/\\]$/, "");
  const locations = DATABASES.map((name) => ({
    name,
    location: locate(databases[name] ?? `${directory}/${name}.db`, name),
  }));
  const present = locations.filter(({ location }) => statDatabase(location).exists);
  const missing = locations.filter((one) => !present.includes(one));
  if (present.length === 0) {
    throw new LocationError(
      `Cannot report: none of the databases exists, such as ${missing[0]?.location.path}`,
      { help: "`catalyst-migrate upgrade` creates them; `demo` creates some with data" },
    );
  }
  const notes = missing.map(({ name, location }) =>
    `There is no database ${name} at ${location.path}.`
  );
  // A missing database is read like one without tables.
  const reading = async <T>(
    database: ReportDatabase,
    read: (connection: Connection) => Promise<T>,
  ): Promise<T> => {
    const found = present.find(({ name }) => name === database);
    await using connection = found === undefined
      ? openMemory()
      : await openForReading(found.location, { ...defaultSettings, ...settings });
    return await withSnapshot(connection, () => read(connection));
  };
  const data: ReportData = {
    trades: await reading("positions", (connection) => readTrades(connection, filter)),
    ...await reading("trading", async (connection) => ({
      snapshots: await readSnapshots(connection, filter),
      orders: await readOrders(connection, filter),
      fills: await readFills(connection, filter),
      storedMetrics: await readStoredMetrics(connection, filter),
    })),
    training: await reading("ml_training", (connection) => readTraining(connection, filter)),
    notes: [...notes, ...filterNotes(filter)],
  };
  return buildReport(data, { filter, computedAt: Math.floor(Date.now() / 1000) });
}

/** Computes a report of a workspace's databases. */
export async function reportFor(
  { settings, locations }: Workspace,
  filter: ReportFilter,
): Promise<Report> {
  const databases = Object.fromEntries(
    [...locations].map(([name, location]) => [name, sourceOf(location)]),
  );
  return await computeReport({ ...filter, settings, databases });
}

/** Runs a query on a workspace's database, or on its ledger. */
export async function queryDatabase(
  workspace: Workspace,
  database: string,
  options: QueryOptions,
): Promise<QueryResult> {
  const location = database === LEDGER_ALIAS && !workspace.locations.has(LEDGER_ALIAS)
    ? workspace.ledger
    : requireKnownDatabase(workspace, database, "query");
  const { settings } = workspace;
  return await runQuery(sourceOf(location), { settings, name: database, ...options });
}

function filterNotes({ since, until }: ReportFilter): string[] {
  if (since === undefined && until === undefined) return [];
  const from = since === undefined ? "" : ` from ${formatDate(since)}`;
  const to = until === undefined ? "" : ` to ${formatDate(until)}`;
  return [`Only rows${from}${to} UTC are included.`];
}

/** Writes a report as a page; see `renderReport` of the package. */
export async function renderReport(report: Report): Promise<string> {
  const { drawCharts } = await loadCharts();
  return renderPage(report, drawCharts(report));
}

/**
 * The address is not literal: otherwise Deno would download the chart library, about 60 packages, before
 * any program that might call this, and inspect them at each start. The executable has the file and its
 * packages as one bundle.
 */
async function loadCharts(): Promise<ChartModule> {
  const file = Deno.build.standalone ? "./charts.js" : "./charts.ts";
  const module = new URL(file, import.meta.url).href;
  try {
    return await import(module);
  } catch (error) {
    const [, access, refused] = /^Requires (\w+) access to "([^"]+)"/.exec(messageOf(error)) ?? [];
    if (access !== undefined) {
      throw new AccessError(`Cannot draw the charts: Deno has no ${access} access to ${refused}`, {
        cause: error,
        help: `add ${
          refused?.replace(/[/\\]report[/\\][^/\\]+$/, "")
        } to --allow-${access}; a report without --html needs no charts`,
      });
    }
    throw new AccessError("Cannot draw the charts: the chart library could not be loaded", {
      cause: error,
      help: "it is downloaded from npm when it is first used, which needs the network once; " +
        "a report without --html needs no charts",
    });
  }
}

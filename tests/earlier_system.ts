/** A data directory of the earlier system: tables and ledger, but no markers. */
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type DatabaseName, databaseNames, execute, idOf, insertRows } from "./helpers.ts";
import {
  readReference,
  type ReferenceCheck,
  type ReferenceDatabase,
  type ReferenceTable,
} from "./migrations/reference.ts";

/** Which parts of it to create. */
export interface EarlierSystem {
  /** Databases to create. Default: all. */
  readonly databases?: readonly DatabaseName[];
  /** Whether to create the ledger, with all three migrations applied. Default `true`. */
  readonly ledger?: boolean;
  /** Rows in each table. Default 3. */
  readonly rows?: number;
}

/** When the earlier system applied its migrations, in Unix epoch seconds. */
export const EARLIER_MOMENT = 1_700_000_000;

/** Builds the directory with SQL that is spelled differently from the bundled migrations. */
export function makeEarlierSystem(directory: string, options: EarlierSystem = {}): void {
  const { databases = databaseNames, ledger = true, rows = 3 } = options;
  for (const name of databases) {
    const path = join(directory, `${name}.db`);
    execute(path, `PRAGMA journal_mode = WAL; ${earlierSql(name)}`);
    if (rows > 0) insertRows(path, name, rows);
  }
  if (ledger) makeEarlierLedger(directory);
}

/** The earlier system's schema of one database. */
export function earlierSql(database: DatabaseName): string {
  const reference: ReferenceDatabase | undefined = readReference()[database];
  if (reference === undefined) throw new Error(`the reference has no "${database}"`);
  const { tables, indexes, views } = reference;
  return [
    ...Object.entries(tables).map(([name, table]) => tableSql(name, table)),
    ...indexes.map(({ name, table, columns }) =>
      `create index ${quote(name)} on ${quote(table)} (${columns.map(term).join(",")});`
    ),
    ...Object.entries(views).map(([name, { columns }]) =>
      `create view ${quote(name)}(${columns.map(quote).join(",")}) as select ` +
      `${columns.map((_, place) => `${place}`).join(",")} from ${quote(BASE[name] ?? "")};`
    ),
  ].join("\n");
}

/** A table that a view reads. */
const BASE: Readonly<Record<string, string>> = {
  v_position_summary: "positions",
  v_recent_closed_trades: "closed_positions",
  v_recent_orders: "orders",
  v_order_fill_stats: "fills",
  v_equity_curve: "portfolio_snapshots",
  v_performance_summary: "performance_metrics",
  v_agent_leaderboard: "agent_performance",
  v_current_ensemble: "ensemble_weights",
  v_training_summary: "training_runs",
  v_hyperparameter_results: "hyperparameters",
};

/** The constraints that the reference describes in words, by name, and those that mention NULL, by column. */
const RULES: Readonly<Record<string, string>> = {
  valid_stop_loss: `
    ("side" = 'long' and ("stop_loss_price" is null or "stop_loss_price"<"entry_price"))
    or ("side" = 'short' and ("stop_loss_price" is null or "stop_loss_price">"entry_price"))`,
  valid_take_profit: `
    ("side" = 'long' and ("take_profit_price" is null or "take_profit_price">"entry_price"))
    or ("side" = 'short' and ("take_profit_price" is null or "take_profit_price"<"entry_price"))`,
  valid_closed_at: `"closed_at">="opened_at"`,
  valid_filled_quantity: `"filled_quantity"<="quantity"`,
  valid_limit_order:
    `("order_type"=='limit' AND "limit_price" IS NOT NULL) OR ("order_type"<>'limit')`,
  valid_stop_order: `("order_type" in ('stop','stop_limit') and "stop_price" is not null)
    or ("order_type" not in ('stop','stop_limit'))`,
  valid_duration: `("end_time" is null) or ("duration_seconds">=0)`,
  limit_price: `"limit_price" is null or "limit_price">0`,
  stop_price: `"stop_price" is null or "stop_price">0`,
  filled_avg_price: `"filled_avg_price" is null or "filled_avg_price">0`,
  learning_rate: `"learning_rate" is null or "learning_rate">0`,
  batch_size: `"batch_size" is null or "batch_size">0`,
  gamma: `"gamma" is null or ("gamma">=0 and "gamma"<=1)`,
};

function tableSql(name: string, table: ReferenceTable): string {
  const columns = table.columns.map((column) =>
    [
      quote(column.name),
      column.type.toLowerCase(),
      column.primaryKey && table.autoincrement ? "primary key autoincrement" : "",
      column.default === undefined ? "" : `default ${column.default}`,
      column.notNull ? "not null" : "",
    ].filter((part) => part !== "").join(" ")
  );
  const key = table.columns.filter(({ primaryKey }) => primaryKey && !table.autoincrement);
  const constraints = [
    ...key.map((column) => `primary key(${quote(column.name)})`),
    ...(table.unique ?? []).map((names) => `unique(${names.map(quote).join(",")})`),
    ...table.checks.map((check) =>
      `${check.name === undefined ? "" : `constraint ${check.name} `}check(${checkSql(check)})`
    ),
    ...(table.foreignKeys ?? []).map(({ column, references }) =>
      `foreign key(${quote(column)}) references ${references}`
    ),
  ];
  return `create table ${quote(name)}(${[...columns, ...constraints].join(",\n")});`;
}

function checkSql(check: ReferenceCheck): string {
  const rule = RULES["rule" in check ? check.name : check.column];
  if (rule !== undefined) return rule;
  if ("rule" in check) throw new Error(`the tests don't know the rule "${check.name}"`);
  const column = quote(check.column);
  if ("oneOf" in check) {
    return `(${column} in (${check.oneOf.map((value) => `'${value}'`).join(",")}))`;
  }
  if ("above" in check) return `${column}>${check.above}`;
  if ("atLeast" in check) return `${column}>=${check.atLeast}`;
  return `${column}>=${check.between[0]} and ${column}<=${check.between[1]}`;
}

function quote(name: string): string {
  return `"${name}"`;
}

function term(column: string): string {
  const [name = "", order = ""] = column.split(" ");
  return `${quote(name)} ${order.toLowerCase()}`;
}

function makeEarlierLedger(directory: string): void {
  using db = new DatabaseSync(join(directory, "migrations.db"));
  db.exec(`CREATE TABLE migration_history (
    migration_id TEXT PRIMARY KEY,
    migration_name TEXT NOT NULL,
    database_path TEXT NOT NULL,
    applied_at INTEGER NOT NULL,
    applied_date TEXT NOT NULL,
    duration_seconds REAL,
    status TEXT NOT NULL CHECK(status IN ('applied', 'rolled_back', 'failed')),
    error_message TEXT
  )`);
  const insert = db.prepare(
    "INSERT INTO migration_history VALUES (?1, ?2, ?3, ?4, datetime(?4, 'unixepoch'), 0.25, 'applied', NULL)",
  );
  for (const name of databaseNames) {
    insert.run(
      idOf[name],
      `${idOf[name]}_create_${name}_tables`,
      `data/${name}.db`,
      EARLIER_MOMENT,
    );
  }
}

/**
 * The bundled migrations: the schema of the trading bot's three databases.
 *
 * @module
 */
import type { Migration } from "../lib/migration/migration.ts";
import createPositionsTables from "./001_create_positions_tables.ts";
import createTradingTables from "./002_create_trading_tables.ts";
import createMlTrainingTables from "./003_create_ml_training_tables.ts";

/** The bundled migrations in the order they are applied. Each is frozen once released. */
export const bundledMigrations: readonly Migration[] = Object.freeze([
  createPositionsTables,
  createTradingTables,
  createMlTrainingTables,
]);

import {
  formatIndex,
  formatSchema,
  formatTable,
  formatTrigger,
  formatView,
  sorted,
} from "./format.ts";
import { oneLine } from "../sql/layout.ts";
import type { ColumnSchema, IndexSchema, Schema, TableSchema } from "./model.ts";
import { spell } from "../sql/spelling.ts";
import { fold, tokenize } from "../sql/tokens.ts";

/** The schema of a database in a form that stays the same as long as the schema does. */
export interface SchemaDescription {
  /** SQL that makes the same schema in an empty database; empty where there is none. */
  readonly sql: string;
  /** The same as data: lists of objects by name, texts in one spelling. */
  readonly schema: Schema;
}

/** Describes a schema as it was read. */
export function describe(schema: Schema): SchemaDescription {
  return { sql: formatSchema(schema), schema: stableSchema(schema) };
}

/**
 * The schema with its lists in the order of names and its texts in one spelling, so that two
 * databases with the same text of schema give the same document.
 */
export function stableSchema(schema: Schema): Schema {
  const tables = new Map(schema.tables.map((table) => [fold(table.name), table]));
  return {
    tables: sorted(schema.tables).map(stableTable),
    indexes: sorted(schema.indexes).map((index) =>
      stableIndex(index, tables.get(fold(index.table)))
    ),
    views: sorted(schema.views).map((view) => ({ ...view, sql: formatView(view) })),
    triggers: sorted(schema.triggers).map((trigger) => ({
      ...trigger,
      sql: formatTrigger(trigger),
    })),
  };
}

function stableTable(table: TableSchema): TableSchema {
  return {
    ...table,
    columns: table.columns.map((column): ColumnSchema => ({
      ...column,
      type: oneLine(spell(tokenize(column.type), { names: new Set() })),
      default: column.default === null ? null : oneSpelling(column.default),
      generated: column.generated === null ? null : {
        ...column.generated,
        expression: oneSpelling(column.generated.expression, table),
      },
    })),
    checks: table.checks.map(({ name, expression }) => ({
      name,
      expression: oneSpelling(expression, table),
    })),
    sql: formatTable(table),
  };
}

function stableIndex(index: IndexSchema, table: TableSchema | undefined): IndexSchema {
  return {
    ...index,
    columns: index.columns.map((column) => ({
      ...column,
      expression: column.expression === null ? null : oneSpelling(column.expression, table),
    })),
    where: index.where === null ? null : oneSpelling(index.where, table),
    sql: formatIndex(index, table),
  };
}

function oneSpelling(sql: string, table?: TableSchema): string {
  const known = new Set(table?.columns.map(({ name }) => fold(name)));
  return oneLine(spell(tokenize(sql), { names: new Set(), known, isExpression: true }));
}

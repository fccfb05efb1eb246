import { number, type Row, text, textOrNull } from "../database/connection.ts";
import { readIndexText, readTableText } from "./constraints.ts";
import type { ColumnSchema, ForeignKeySchema, IndexSchema, TableSchema } from "./model.ts";
import { fold } from "../sql/tokens.ts";

/** An object as SQLite's own list has it. */
export interface Entry {
  readonly type: string;
  readonly name: string;
  readonly table: string;
  readonly virtual: boolean;
  readonly sql: string;
}

/** The rows by the value of a column, in the order in which they come. */
export function groups(rows: readonly Row[], column: string): Map<string, Row[]> {
  const found = new Map<string, Row[]>();
  for (const row of rows) {
    const key = String(row[column]);
    const group = found.get(key);
    if (group === undefined) found.set(key, [row]);
    else group.push(row);
  }
  return found;
}

/** What the pragmas tell of one table. */
export interface TableRows {
  readonly columns: readonly Row[];
  readonly foreignKeys: readonly Row[];
  readonly uniques: readonly Row[];
}

/** Makes a table of its text and of the pragmas' rows. */
export function tableOf(entry: Entry, rows: TableRows): TableSchema {
  const { name, virtual, sql } = entry;
  const told = readTableText(virtual ? "" : sql);
  const collationOf = (column: string): string => told.collations.get(fold(column)) ?? "BINARY";
  const columns = rows.columns.filter((row) => row["hidden"] !== 1).map((row): ColumnSchema => ({
    name: text(row, "name"),
    type: text(row, "type"),
    notNull: row["notnull"] === 1,
    default: textOrNull(row, "dflt_value"),
    primaryKey: number(row, "pk"),
    collation: collationOf(text(row, "name")),
    generated: row["hidden"] === 0 ? null : {
      kind: row["hidden"] === 3 ? "stored" : "virtual",
      expression: told.generated.get(fold(text(row, "name"))) ?? "",
    },
  }));
  const uniques = groups(rows.uniques, "index").values().map((unique) =>
    unique.map((row) => {
      const column = text(row, "name");
      const collation = text(row, "coll").toUpperCase();
      return collation === collationOf(column) ? column : `${column} COLLATE ${collation}`;
    })
  ).toArray();
  const foreignKeys = groups(rows.foreignKeys, "id").values().map((key, place) =>
    foreignKeyOf(key, told.deferred[place] ?? false)
  ).toArray();
  const { checks, conflicts, autoincrement, withoutRowid, strict } = told;
  return {
    ...{ name, columns, uniques, foreignKeys, checks, conflicts },
    ...{ autoincrement, withoutRowid, strict, virtual, sql },
  };
}

function foreignKeyOf(rows: readonly Row[], deferred: boolean): ForeignKeySchema {
  const [first = {}] = rows;
  return {
    columns: rows.map((row) => text(row, "from")),
    table: text(first, "table"),
    references: rows.flatMap((row) => textOrNull(row, "to") ?? []),
    onUpdate: text(first, "on_update"),
    onDelete: text(first, "on_delete"),
    deferred,
  };
}

/** Makes an index of its text and of the pragmas' rows, one for each term. */
export function indexOf(entry: Entry, rows: readonly Row[]): IndexSchema {
  const { name, table, sql } = entry;
  const { terms, where } = readIndexText(sql);
  const columns = rows.map((row, place) => {
    const column = textOrNull(row, "name");
    return {
      name: column,
      expression: column === null ? terms[place] ?? "" : null,
      descending: row["desc"] === 1,
      collation: text(row, "coll").toUpperCase(),
    };
  });
  return { name, table, unique: rows[0]?.["unique"] === 1, columns, where, sql };
}

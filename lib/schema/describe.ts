import type { ColumnSchema, ForeignKeySchema, IndexColumn, IndexSchema } from "./model.ts";

/** A list of names as SQL writes it, such as `(a, b)`. */
export function describeNames(names: readonly string[]): string {
  return `(${names.join(", ")})`;
}

/** A column without its name, such as `TEXT NOT NULL DEFAULT 'new'`. */
export function describeColumn(column: ColumnSchema): string {
  const parts = [
    column.type,
    column.notNull ? "NOT NULL" : "",
    column.primaryKey > 0 ? "PRIMARY KEY" : "",
    column.default === null ? "" : `DEFAULT ${column.default}`,
    column.collation === "BINARY" ? "" : `COLLATE ${column.collation}`,
    column.generated === null ? "" : `AS (${column.generated.expression})`,
  ];
  return parts.filter((part) => part !== "").join(" ") || "of any type";
}

/** A foreign key, such as `(order_id) to orders (id), ON DELETE CASCADE`. */
export function describeForeignKey(key: ForeignKeySchema): string {
  const parts = [
    [describeNames(key.columns), "to", key.table, describeReferences(key)].join(" ").trim(),
    key.onUpdate === "NO ACTION" ? "" : `ON UPDATE ${key.onUpdate}`,
    key.onDelete === "NO ACTION" ? "" : `ON DELETE ${key.onDelete}`,
    key.deferred ? "checked at commit" : "",
  ];
  return parts.filter((part) => part !== "").join(", ");
}

function describeReferences(key: ForeignKeySchema): string {
  return key.references.length === 0 ? "" : describeNames(key.references);
}

/** The terms of an index, such as `(a, b DESC)`. */
export function describeTerms(index: IndexSchema): string {
  return describeNames(index.columns.map(describeTerm));
}

function describeTerm(column: IndexColumn): string {
  const term = column.name ?? column.expression ?? "";
  const collation = column.collation === "BINARY" ? "" : ` COLLATE ${column.collation}`;
  return `${term}${collation}${column.descending ? " DESC" : ""}`;
}

/**
 * The schema of a database as plain data, and how messages describe its parts.
 *
 * @module
 */

/** Type affinity: how SQLite converts a value stored in a column. `BLOB` converts nothing. */
export type Affinity = "INTEGER" | "REAL" | "NUMERIC" | "TEXT" | "BLOB";

/** Whether a column is for numbers, so that text in it is certainly a mistake. */
export function isNumberColumn(type: string, isStrict: boolean): boolean {
  const affinity = affinityOf(type, isStrict);
  // SQLite treats every other type as numeric too, such as DATE or JSON, which hold text.
  return affinity === "INTEGER" || affinity === "REAL" ||
    (affinity === "NUMERIC" && /NUM|DEC|BOOL/i.test(type));
}

/** The affinity of a column with a declared type, by SQLite's rules for ordinary or STRICT tables. */
export function affinityOf(type: string, isStrict: boolean): Affinity {
  const declared = type.toUpperCase();
  if (declared.includes("INT")) return "INTEGER";
  if (/CHAR|CLOB|TEXT/.test(declared)) return "TEXT";
  if (declared === "" || declared.includes("BLOB")) return "BLOB";
  if (/REAL|FLOA|DOUB/.test(declared)) return "REAL";
  return isStrict && declared === "ANY" ? "BLOB" : "NUMERIC";
}

/** One difference between a database and its expected schema, as plain data. */
export interface Difference {
  /** `missing` if an expected object does not exist, `extra` if an unexpected one does, or `different`. */
  readonly kind: "missing" | "different" | "extra";
  /** Type of the object; differences in keys, checks and column order belong to the table. */
  readonly type: "table" | "column" | "index" | "view" | "trigger";
  /** Name of the object; for a column with its table, such as `positions.side`. */
  readonly object: string;
  /** Table that the object belongs to, or the table itself; null for a view. */
  readonly table: string | null;
  /** The difference in plain words. */
  readonly detail: string;
}

/** The difference in plain words, with the table of a column or key. */
export function describeDifference({ type, table, detail }: Difference): string {
  const isTold = type !== "column" && (type !== "table" || detail.startsWith('table "'));
  return isTold ? detail : `table "${table}": ${detail}`;
}

/** A problem with a database, or something worth knowing about it. */
export interface Finding {
  /** Kind: `missing`, `different` or `extra` for the schema, or the name of a data check. */
  readonly kind: string;
  /** The object concerned, such as `orders` or `orders.side`. */
  readonly object: string;
  /** The finding in plain words. */
  readonly detail: string;
  /** What to do. */
  readonly fix: string;
}

/** The objects of a database, without its rows. All lists are in the order of creation. */
export interface Schema {
  /** Tables, including virtual ones. */
  readonly tables: readonly TableSchema[];
  /** Indexes created by `CREATE INDEX`. */
  readonly indexes: readonly IndexSchema[];
  /** Views. */
  readonly views: readonly ViewSchema[];
  /** Triggers. */
  readonly triggers: readonly TriggerSchema[];
}

/** A table. Includes `UNIQUE` and `PRIMARY KEY` constraints of both columns and the table. */
export interface TableSchema {
  /** Name in its original spelling. */
  readonly name: string;
  /** Columns in order. */
  readonly columns: readonly ColumnSchema[];
  /** Columns of each `UNIQUE`; followed by ` COLLATE X` if X is not the collation of the column. */
  readonly uniques: readonly (readonly string[])[];
  /** Foreign keys in the order of the SQL. */
  readonly foreignKeys: readonly ForeignKeySchema[];
  /** Checks in the order of the SQL. */
  readonly checks: readonly CheckSchema[];
  /** Each non-default `ON CONFLICT`, such as `NOT NULL (side): REPLACE`. */
  readonly conflicts: readonly string[];
  /** Whether row ids are never reused. */
  readonly autoincrement: boolean;
  /** Whether the rows are stored by primary key, without row ids. */
  readonly withoutRowid: boolean;
  /** Whether values must have the declared types. */
  readonly strict: boolean;
  /** Whether a module such as FTS5 stores the rows. */
  readonly virtual: boolean;
  /** The `CREATE` statement as SQLite stores it. */
  readonly sql: string;
}

/** A column of a table. */
export interface ColumnSchema {
  /** Name in its original spelling. */
  readonly name: string;
  /** Declared type; empty if there is none. */
  readonly type: string;
  /** Whether it is NOT NULL. */
  readonly notNull: boolean;
  /** Default as SQL text, such as `'new'`; null if there is none. */
  readonly default: string | null;
  /** Position in the primary key, starting at 1; 0 if it is not part of it. */
  readonly primaryKey: number;
  /** Collation in upper case; `BINARY` by default. */
  readonly collation: string;
  /** How a generated column is computed; null for an ordinary one. */
  readonly generated: GeneratedSchema | null;
}

/** How a generated column is computed. */
export interface GeneratedSchema {
  /** Whether it is computed when it is read, or stored. */
  readonly kind: "virtual" | "stored";
  /** The expression, without its parentheses. */
  readonly expression: string;
}

/** A foreign key of a table. */
export interface ForeignKeySchema {
  /** Columns of the child table. */
  readonly columns: readonly string[];
  /** The referenced table. */
  readonly table: string;
  /** The referenced columns; empty if it names none and so references the primary key. */
  readonly references: readonly string[];
  /** Action in upper case, such as `NO ACTION`. */
  readonly onUpdate: string;
  /** Action in upper case, such as `CASCADE`. */
  readonly onDelete: string;
  /** Whether it is checked at commit rather than after each statement. */
  readonly deferred: boolean;
}

/** A CHECK constraint. */
export interface CheckSchema {
  /** Name of the constraint; null if it has none. */
  readonly name: string | null;
  /** The expression, without its parentheses. */
  readonly expression: string;
}

/** An index created by `CREATE INDEX`. */
export interface IndexSchema {
  /** Name in its original spelling. */
  readonly name: string;
  /** Table of the index. */
  readonly table: string;
  /** Whether it is a UNIQUE index. */
  readonly unique: boolean;
  /** Terms in order. */
  readonly columns: readonly IndexColumn[];
  /** Condition of a partial index; null if it covers all rows. */
  readonly where: string | null;
  /** The `CREATE` statement as SQLite stores it. */
  readonly sql: string;
}

/** One term of an index. */
export interface IndexColumn {
  /** Name of the column; null if the term is an expression. */
  readonly name: string | null;
  /** Text of the expression; null if the term is a column. */
  readonly expression: string | null;
  /** Whether it sorts in descending order. */
  readonly descending: boolean;
  /** Collation in upper case. */
  readonly collation: string;
}

/** A view. */
export interface ViewSchema {
  /** Name in its original spelling. */
  readonly name: string;
  /** Names of its columns; empty if SQLite does not know them, such as when a table is missing. */
  readonly columns: readonly string[];
  /** The `CREATE` statement as SQLite stores it. */
  readonly sql: string;
}

/** A trigger. */
export interface TriggerSchema {
  /** Name in its original spelling. */
  readonly name: string;
  /** Table or view of the trigger. */
  readonly table: string;
  /** The `CREATE` statement as SQLite stores it. */
  readonly sql: string;
}

/** A list of names as SQL writes it, such as `(a, b)`. */
export function describeNames(names: readonly string[]): string {
  return `(${names.join(", ")})`;
}

/** Names of the columns of the primary key, in its order. */
export function primaryKeyOf(
  { columns }: { readonly columns: readonly Pick<ColumnSchema, "name" | "primaryKey">[] },
): string[] {
  return columns.filter(({ primaryKey }) => primaryKey > 0)
    .toSorted((a, b) => a.primaryKey - b.primaryKey)
    .map(({ name }) => name);
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

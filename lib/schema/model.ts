/** What SQLite makes of a value that is stored in a column. `BLOB` leaves every value as it is. */
export type Affinity = "INTEGER" | "REAL" | "NUMERIC" | "TEXT" | "BLOB";

/** Whether a column is for numbers, so that a text in it is surely a mistake. */
export function isNumberColumn(type: string, isStrict: boolean): boolean {
  const affinity = affinityOf(type, isStrict);
  // SQLite calls every other type numeric too, such as DATE or JSON, which hold text.
  return affinity === "INTEGER" || affinity === "REAL" ||
    (affinity === "NUMERIC" && /NUM|DEC|BOOL/i.test(type));
}

/** The affinity of a column by its declared type, as SQLite's rules have it for any or a STRICT table. */
export function affinityOf(type: string, isStrict: boolean): Affinity {
  const declared = type.toUpperCase();
  if (declared.includes("INT")) return "INTEGER";
  if (/CHAR|CLOB|TEXT/.test(declared)) return "TEXT";
  if (declared === "" || declared.includes("BLOB")) return "BLOB";
  if (/REAL|FLOA|DOUB/.test(declared)) return "REAL";
  return isStrict && declared === "ANY" ? "BLOB" : "NUMERIC";
}

/** One way in which a database is not as it should be, as plain data. */
export interface Difference {
  /** `missing` where it should be there, `extra` where it should not, or `different`. */
  readonly kind: "missing" | "different" | "extra";
  /** What differs; the keys, checks and column order of a table are differences of the table. */
  readonly type: "table" | "column" | "index" | "view" | "trigger";
  /** Its name; that of a column with its table, such as `positions.side`. */
  readonly object: string;
  /** Table that it belongs to; of a table its own name; null for a view. */
  readonly table: string | null;
  /** The difference in plain words. */
  readonly detail: string;
}

/** The difference in plain words; that of a table's column or key says which table it is. */
export function describeDifference({ type, table, detail }: Difference): string {
  const isTold = type !== "column" && (type !== "table" || detail.startsWith('table "'));
  return isTold ? detail : `table "${table}": ${detail}`;
}

/** What is wrong with a database, or worth knowing of it. */
export interface Finding {
  /** What sort it is: `missing`, `different` or `extra` of the schema, or the name of a data check. */
  readonly kind: string;
  /** What it is about, such as `orders` or `orders.side`. */
  readonly object: string;
  /** What is the case, in plain words. */
  readonly detail: string;
  /** What to do. */
  readonly fix: string;
}

/** What a database consists of, without its rows. All lists are in the order of creation. */
export interface Schema {
  /** Tables, virtual ones too. */
  readonly tables: readonly TableSchema[];
  /** Indexes that a `CREATE INDEX` made. */
  readonly indexes: readonly IndexSchema[];
  /** Views. */
  readonly views: readonly ViewSchema[];
  /** Triggers. */
  readonly triggers: readonly TriggerSchema[];
}

/** A table. What a `UNIQUE` or `PRIMARY KEY` says is here, whether a column or the table says it. */
export interface TableSchema {
  /** Name as it was written. */
  readonly name: string;
  /** Columns in their order. */
  readonly columns: readonly ColumnSchema[];
  /** Columns of each `UNIQUE`; a column with ` COLLATE X` behind it where X is not its own. */
  readonly uniques: readonly (readonly string[])[];
  /** Foreign keys in the order of the text. */
  readonly foreignKeys: readonly ForeignKeySchema[];
  /** Checks in the order of the text. */
  readonly checks: readonly CheckSchema[];
  /** Each `ON CONFLICT` that is not the usual one, such as `NOT NULL (side): REPLACE`. */
  readonly conflicts: readonly string[];
  /** Whether row ids are never used again. */
  readonly autoincrement: boolean;
  /** Whether the primary key is the place of a row. */
  readonly withoutRowid: boolean;
  /** Whether values must have the declared types. */
  readonly strict: boolean;
  /** Whether a module such as FTS5 keeps the rows. */
  readonly virtual: boolean;
  /** The `CREATE` statement as SQLite keeps it. */
  readonly sql: string;
}

/** A column of a table. */
export interface ColumnSchema {
  /** Name as it was written. */
  readonly name: string;
  /** Declared type; empty if there is none. */
  readonly type: string;
  /** Whether it refuses NULL. */
  readonly notNull: boolean;
  /** Default as SQL text, such as `'new'`; null if there is none. */
  readonly default: string | null;
  /** Place in the primary key, from 1 on; 0 if it is not part of it. */
  readonly primaryKey: number;
  /** Collation in capitals; `BINARY` where none is named. */
  readonly collation: string;
  /** How a generated column is computed; null for an ordinary one. */
  readonly generated: GeneratedSchema | null;
}

/** How a generated column is computed. */
export interface GeneratedSchema {
  /** Whether it is computed when it is read, or kept. */
  readonly kind: "virtual" | "stored";
  /** The expression, without its parentheses. */
  readonly expression: string;
}

/** A foreign key of a table. */
export interface ForeignKeySchema {
  /** Columns that it binds. */
  readonly columns: readonly string[];
  /** Table that it points to. */
  readonly table: string;
  /** Columns that it points to; empty if it names none and so means the primary key. */
  readonly references: readonly string[];
  /** Action in capitals, such as `NO ACTION`. */
  readonly onUpdate: string;
  /** Action in capitals, such as `CASCADE`. */
  readonly onDelete: string;
  /** Whether it is checked at commit, not after each statement. */
  readonly deferred: boolean;
}

/** A rule that each row of a table must pass. */
export interface CheckSchema {
  /** Name of the constraint; null if it has none. */
  readonly name: string | null;
  /** The expression, without its parentheses. */
  readonly expression: string;
}

/** An index that a `CREATE INDEX` made. */
export interface IndexSchema {
  /** Name as it was written. */
  readonly name: string;
  /** Table that it is of. */
  readonly table: string;
  /** Whether no two rows may have the same terms. */
  readonly unique: boolean;
  /** Terms in their order. */
  readonly columns: readonly IndexColumn[];
  /** Condition of a partial index; null if it holds all rows. */
  readonly where: string | null;
  /** The `CREATE` statement as SQLite keeps it. */
  readonly sql: string;
}

/** One term of an index. */
export interface IndexColumn {
  /** Name of the column; null if the term is an expression. */
  readonly name: string | null;
  /** Text of the expression; null if the term is a column. */
  readonly expression: string | null;
  /** Whether it sorts from large to small. */
  readonly descending: boolean;
  /** Collation in capitals. */
  readonly collation: string;
}

/** A view. */
export interface ViewSchema {
  /** Name as it was written. */
  readonly name: string;
  /** Names of its columns; empty where SQLite can't tell them, as when a table is missing. */
  readonly columns: readonly string[];
  /** The `CREATE` statement as SQLite keeps it. */
  readonly sql: string;
}

/** A trigger. */
export interface TriggerSchema {
  /** Name as it was written. */
  readonly name: string;
  /** Table or view that it watches. */
  readonly table: string;
  /** The `CREATE` statement as SQLite keeps it. */
  readonly sql: string;
}

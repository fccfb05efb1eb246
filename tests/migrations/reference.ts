/** The schema that the bundled migrations must create, from `tests/testdata/catalyst-schema.json`. */
export type Reference = Readonly<Record<string, ReferenceDatabase>>;

export interface ReferenceDatabase {
  readonly tables: Readonly<Record<string, ReferenceTable>>;
  readonly indexes: readonly ReferenceIndex[];
  readonly views: Readonly<Record<string, ReferenceView>>;
}

export interface ReferenceTable {
  readonly columns: readonly ReferenceColumn[];
  readonly autoincrement?: boolean;
  readonly unique?: readonly (readonly string[])[];
  readonly foreignKeys?: readonly { readonly column: string; readonly references: string }[];
  readonly checks: readonly ReferenceCheck[];
}

export interface ReferenceColumn {
  readonly name: string;
  readonly type: "TEXT" | "INTEGER" | "REAL";
  readonly primaryKey?: boolean;
  readonly notNull?: boolean;
  readonly default?: string;
}

/** A condition on one column, or a constraint in words, which the tests express as a predicate. */
export type ReferenceCheck =
  | ColumnCheck
  | { readonly name: string; readonly rule: string };

export type ColumnCheck =
  & { readonly name?: string; readonly column: string }
  & (
    | { readonly oneOf: readonly string[] }
    | { readonly above: number }
    | { readonly atLeast: number }
    | { readonly between: readonly [number, number] }
  );

export interface ReferenceIndex {
  readonly name: string;
  readonly table: string;
  /** Names of columns, with ` DESC` for descending order. */
  readonly columns: readonly string[];
}

export interface ReferenceView {
  readonly columns: readonly string[];
  readonly order?: string;
  readonly limit?: number;
}

/** Reads the reference; the file belongs to the tests, so its structure is not validated. */
export function readReference(): Reference {
  const file = new URL("../testdata/catalyst-schema.json", import.meta.url);
  return JSON.parse(Deno.readTextFileSync(file)) as Reference;
}

/** Every table of the reference with the name of its database. */
export function referenceTables(): { database: string; name: string; table: ReferenceTable }[] {
  return Object.entries(readReference()).flatMap(([database, { tables }]) =>
    Object.entries(tables).map(([name, table]) => ({ database, name, table }))
  );
}

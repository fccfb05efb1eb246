import type { Affinity } from "../schema/model.ts";

/** A table as it is read to be written elsewhere; plain data, so that a thread can have it. */
export interface DumpTable {
  readonly name: string;
  /** The columns that are stored; what is generated comes again by itself. */
  readonly columns: readonly DumpColumn[];
  /** How its rows are found in their order. */
  readonly order: RowOrder;
  /** Rows that are written as one piece, so that it has about 64 KB. */
  readonly rowsPerPiece: number;
  /** Whether a row may be so large that many of them together would not fit into memory. */
  readonly hasLargeRows: boolean;
}

/** A column of a {@link DumpTable}. */
export interface DumpColumn {
  readonly name: string;
  readonly affinity: Affinity;
  /** Whether SQLite has made sure that every value is NULL or of the declared type. */
  readonly isStrict: boolean;
}

/** How the rows of a table are found in their order. */
export type RowOrder =
  /** By a row id, of which any range can be read at once. */
  | {
    readonly by: "rowid";
    /** A name that means the row id. */
    readonly name: string;
    /** Whether one of the columns is the row id. */
    readonly isColumn: boolean;
    /** Whether the rows have no other key, so that the row id is part of what they say. */
    readonly isOnlyKey: boolean;
  }
  /** By columns, or in no order where there are none; read from the first to the last. */
  | { readonly by: "columns"; readonly names: readonly string[] };

/** Columns of which a row's text may be built by one call of a function of SQLite. */
export const MOST_COLUMNS = 100;

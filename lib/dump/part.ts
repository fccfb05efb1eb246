import type { RowFormatName } from "./row.ts";
import type { DumpTable } from "./table.ts";

/** What content of a database is written. */
export type DumpContent = "all" | "schema" | "data";

/** A part of a dump. */
export type DumpPart =
  | { readonly kind: "text"; readonly text: string }
  | RowsPart;

/** The rows of a table, of which every piece stands between an opening and a closing text. */
export interface RowsPart {
  readonly kind: "rows";
  readonly table: DumpTable;
  readonly format: RowFormatName;
  /** Encoding of the database, such as `UTF-8`. */
  readonly encoding: string;
  readonly opening: string;
  readonly closing: string;
}

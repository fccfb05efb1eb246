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

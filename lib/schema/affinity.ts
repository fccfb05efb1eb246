/** What SQLite makes of a value that is stored in a column. `BLOB` leaves every value as it is. */
export type Affinity = "INTEGER" | "REAL" | "NUMERIC" | "TEXT" | "BLOB";

/** The affinity of a column by its declared type, as SQLite's rules have it for any or a STRICT table. */
export function affinityOf(type: string, isStrict: boolean): Affinity {
  const declared = type.toUpperCase();
  if (declared.includes("INT")) return "INTEGER";
  if (/CHAR|CLOB|TEXT/.test(declared)) return "TEXT";
  if (declared === "" || declared.includes("BLOB")) return "BLOB";
  if (/REAL|FLOA|DOUB/.test(declared)) return "REAL";
  return isStrict && declared === "ANY" ? "BLOB" : "NUMERIC";
}

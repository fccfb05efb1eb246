import type { DatabaseSync } from "node:sqlite";
import type { DenoSqliteDatabase } from "./deno_sqlite.ts";

/**
 * What a program may name as a database: a path, a `file:` URL, or a database that it has open,
 * a `DatabaseSync` of `node:sqlite` or a `Database` of `jsr:@db/sqlite`.
 */
export type DatabaseSource = string | URL | DatabaseSync | DenoSqliteDatabase;

/** Where a database is. */
export type DatabaseLocation =
  | { readonly kind: "file"; readonly path: string }
  | {
    readonly kind: "open";
    readonly handle: DatabaseSync | DenoSqliteDatabase;
    readonly path: string;
  };

/** What can be told of a database without opening it. */
export interface DatabaseStat {
  /** Whether there is one. */
  readonly exists: boolean;
  /** Size of its main file in bytes; null where it isn't a file. */
  readonly sizeBytes: number | null;
}

/** Says where a source is. */
export function locate(source: DatabaseSource): DatabaseLocation {
  if (typeof source === "string") return { kind: "file", path: source };
  if (source instanceof URL) return { kind: "file", path: decodeURIComponent(source.pathname) };
  const path = "location" in source ? source.location() : source.path;
  return { kind: "open", handle: source, path: path || ":memory:" };
}

/** Says whether a database is there; never creates anything. */
export function statDatabase(location: DatabaseLocation): DatabaseStat {
  try {
    const stat = Deno.statSync(location.path);
    return { exists: location.kind === "open" || stat.isFile, sizeBytes: stat.size };
  } catch (error) {
    if (location.kind === "open") return { exists: true, sizeBytes: null };
    if (error instanceof Deno.errors.NotFound) return { exists: false, sizeBytes: null };
    throw error;
  }
}

import type { Migration } from "../../migration/migration.ts";
import type { Schema } from "../../schema/model.ts";
import type { Fault } from "../../trial/finding.ts";
import type { BodyRun } from "../rehearsal.ts";
import type { RowBook } from "../rows.ts";
import type { Course, Rebuild } from "../../trial/tables.ts";

/** A migration after its upgrade was run on a scratch database. */
export interface Rehearsed extends Course {
  readonly migration: Migration;
  /** Schema before the upgrade. */
  readonly before: Schema;
  /** Schema after it. */
  readonly after: Schema;
  readonly run: BodyRun;
  readonly rebuilds: readonly Rebuild[];
  readonly book: RowBook;
  /** Rows from which on a table counts as large. */
  readonly largeTable: number;
}

/** Looks at one migration for faults of its kind. */
export type Rule = (rehearsed: Rehearsed) => Fault[] | Promise<Fault[]>;

/** `1,234 rows`; `the rows that it may have` where nobody knows. */
export function describeRows(rows: number | null): string {
  if (rows === null) return "the rows that it may have";
  return `${String(rows).replace(/\B(?=(\d{3})+$)/g, ",")} ${rows === 1 ? "row" : "rows"}`;
}

/** Names in double quotes, with commas. */
export function names(list: readonly string[]): string {
  return list.map((name) => `"${name}"`).join(", ");
}

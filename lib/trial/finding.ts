import { formatCount } from "../base/format.ts";
import type { Migration } from "../migration/migration.ts";

/** Code of a finding. The names are stable; `-- lint:allow` suppresses a finding by its code. */
export type LintCode =
  | "table-dropped"
  | "column-dropped"
  | "rows-deleted"
  | "rows-updated"
  | "rebuild-with-foreign-keys"
  | "rebuild-order"
  | "lost-check"
  | "lost-foreign-key"
  | "lost-unique"
  | "lost-not-null"
  | "lost-default"
  | "lost-collation"
  | "lost-autoincrement"
  | "lost-option"
  | "lost-index"
  | "lost-trigger"
  | "lost-view"
  | "missing-reference"
  | "name-taken"
  | "not-null-without-default"
  | "ineffective-pragma"
  | "forbidden-statement"
  | "long-lock"
  | "server-refuses"
  | "no-downgrade"
  | "downgrade-differs"
  | "not-idempotent"
  | "fails";

/** The findings that lose rows or values; an upgrade refuses them. */
export const dataLossCodes: ReadonlySet<LintCode> = new Set<LintCode>([
  "table-dropped",
  "column-dropped",
  "rows-deleted",
  "rows-updated",
  "rebuild-with-foreign-keys",
]);

/** Something that a migration's author should know before it is applied. */
export interface LintFinding {
  /** Code of the finding. */
  readonly code: LintCode;
  /**
   * An error should prevent the migration from being applied; a warning needs a person's judgment.
   */
  readonly severity: "error" | "warning";
  /** Name of the migration. */
  readonly migration: string;
  /** Name of its database. */
  readonly database: string;
  /** File of the migration; null if a program defined it. */
  readonly file: string | null;
  /** Line of the file, or of the SQL text if there is no file; null if unknown. */
  readonly line: number | null;
  /** Statement that it concerns; null if it concerns the whole migration. */
  readonly statement: string | null;
  /** The problem. */
  readonly reason: string;
  /** What to do next. */
  readonly fix: string;
}

/** The location of a finding in a migration. */
export interface StatementPlace {
  /** Text of the statement. */
  readonly sql: string;
  /** Line of the section's text on which it begins; null if a function ran it. */
  readonly line: number | null;
}

/** A finding without its location. */
export interface Fault extends Pick<LintFinding, "code" | "reason" | "fix"> {
  /** Default `error`. */
  readonly severity?: LintFinding["severity"];
  /** Statement; absent if it concerns the whole migration. */
  readonly place?: StatementPlace | undefined;
  /** Section that it is in. Default `upgrade`. */
  readonly direction?: "upgrade" | "downgrade";
}

/** Makes a finding from a fault. */
export function findingOf(migration: Migration, fault: Fault): LintFinding {
  const { code, reason, fix, severity = "error", place, direction = "upgrade" } = fault;
  const { source } = migration;
  const first = direction === "upgrade" ? source?.upgradeLine : source?.downgradeLine;
  // A line within a module's SQL text does not give the module's own line.
  const offset = source === undefined ? 1 : first;
  const line = place?.line ?? null;
  return {
    code,
    severity,
    migration: migration.name,
    database: migration.database,
    file: source?.path ?? null,
    line: place === undefined
      ? first ?? null
      : line === null || offset === undefined
      ? null
      : offset + line - 1,
    statement: place === undefined ? null : place.sql.trim(),
    reason,
    fix,
  };
}

/** Whether the author has declared this as intended. */
export function isAllowed(migration: Migration, code: LintCode): boolean {
  return (migration.allows ?? []).some((one) => one.code === code);
}

/** `1,234 rows`, or `the rows that it may have` if the number is unknown. */
export function describeRows(rows: number | null): string {
  return rows === null ? "the rows that it may have" : formatCount(rows, "row");
}

/** Names in double quotes, separated by commas. */
export function names(list: readonly string[]): string {
  return list.map((name) => `"${name}"`).join(", ");
}

import type { Migration } from "../migration/migration.ts";

/** What a finding is about; fixed names, by which `-- lint:allow` silences one. */
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

/** The findings by which rows or values are lost; an upgrade refuses them. */
export const dataLossCodes: ReadonlySet<LintCode> = new Set<LintCode>([
  "table-dropped",
  "column-dropped",
  "rows-deleted",
  "rows-updated",
  "rebuild-with-foreign-keys",
]);

/** Something about a migration that its author should know before it is applied. */
export interface LintFinding {
  /** What it is about. */
  readonly code: LintCode;
  /** An error should keep the migration from being applied; a warning is for a person to weigh. */
  readonly severity: "error" | "warning";
  /** Name of the migration. */
  readonly migration: string;
  /** Name of its database. */
  readonly database: string;
  /** File of the migration; null where a program defined it. */
  readonly file: string | null;
  /** Line of the file, or of the SQL text where there is no file; null where it can't be told. */
  readonly line: number | null;
  /** Statement that it is about; null where it is about the whole migration. */
  readonly statement: string | null;
  /** What is the case. */
  readonly reason: string;
  /** What to do next. */
  readonly fix: string;
}

/** Where in a migration a finding is. */
export interface StatementPlace {
  /** Text of the statement. */
  readonly sql: string;
  /** Line of the section's text on which it begins; null where a function ran it. */
  readonly line: number | null;
}

/** What is found, before it is known where. */
export interface Fault extends Pick<LintFinding, "code" | "reason" | "fix"> {
  /** Default `error`. */
  readonly severity?: LintFinding["severity"];
  /** Statement; absent where it is about the whole migration. */
  readonly place?: StatementPlace | undefined;
  /** Which section it is in. Default `upgrade`. */
  readonly direction?: "upgrade" | "downgrade";
}

/** Makes a finding of a fault. */
export function findingOf(migration: Migration, fault: Fault): LintFinding {
  const { code, reason, fix, severity = "error", place, direction = "upgrade" } = fault;
  const { source } = migration;
  const first = direction === "upgrade" ? source?.upgradeLine : source?.downgradeLine;
  // A line of the text of a module says nothing about the module's own lines.
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

/** Whether the author has said that this is meant so. */
export function isAllowed(migration: Migration, code: LintCode): boolean {
  return (migration.allows ?? []).some((one) => one.code === code);
}

/** `1,234 rows`; `the rows that it may have` where nobody knows. */
export function describeRows(rows: number | null): string {
  if (rows === null) return "the rows that it may have";
  return `${String(rows).replace(/\B(?=(\d{3})+$)/g, ",")} ${rows === 1 ? "row" : "rows"}`;
}

/** Names in double quotes, with commas. */
export function names(list: readonly string[]): string {
  return list.map((name) => `"${name}"`).join(", ");
}

import type { MigrationBody } from "./migration.ts";

/** The SQL text of a migration body; null where it is a function. */
export function sqlOf(body: MigrationBody | undefined): string | null {
  return typeof body === "string" ? body : null;
}

/**
 * SHA-256, in hexadecimal, of what an SQL text does: line ends, white space at line ends, blank
 * lines, comments and a byte-order mark don't count.
 */
export async function checksum(sql: string): Promise<string> {
  const bytes = new TextEncoder().encode(canonical(sql));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Checksum of a migration's body; null where it is a function, or there is none. */
export async function checksumOf(body: MigrationBody | undefined): Promise<string | null> {
  return typeof body === "string" ? await checksum(body) : null;
}

/** Tells whether two SQL texts have the same checksum; equal texts are not even read. */
export function sameText(a: string, b: string): boolean {
  return a === b || canonical(a) === canonical(b);
}

// Quoted text in any of SQLite's four ways comes first, so that what looks like a comment inside it is kept.
const QUOTED_OR_COMMENT =
  /'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/g;

/** The text without what has no meaning. */
export function canonical(sql: string): string {
  return sql
    .replace(/^\uFEFF/, "")
    .replaceAll("\r\n", "\n")
    .replace(QUOTED_OR_COMMENT, (found) =>
      // A line break inside quotes is part of the text, and must not be taken for the end of a line.
      /^(--|\/\*)/.test(found) ? " " : found.replaceAll("\n", "\0"))
    .split("\n").map((line) => line.trimEnd()).filter((line) => line !== "").join("\n");
}

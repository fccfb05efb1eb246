import { quoteName } from "../sql/tokens.ts";
import { fold, tokenize } from "../sql/tokens.ts";
import type { DumpTable } from "./table.ts";

/** How the content of a virtual table is written without that of its inner tables. */
export type VirtualRows =
  | { readonly kind: "rows"; readonly table: DumpTable }
  /** It keeps no rows: a statement that makes its content from elsewhere, or a comment that says so. */
  | { readonly kind: "sql"; readonly sql: string };

/** Says how to write the rows of a virtual table, by the statement that created it. */
export function virtualRows(sql: string, table: DumpTable): VirtualRows {
  const words = tokenize(sql).map(({ value }) => fold(value));
  const module = words[words.indexOf("using") + 1] ?? "";
  if (!module.startsWith("fts")) return { kind: "rows", table };
  // These show what is in another table.
  if (/vocab|aux/.test(module)) return { kind: "sql", sql: withoutRows(table) };
  const at = words.findIndex((word, index) => word === "content" && words[index + 1] === "=");
  if (at === -1) {
    const rowid = { name: "rowid", affinity: "INTEGER", isStrict: true } as const;
    return { kind: "rows", table: { ...table, columns: [rowid, ...table.columns] } };
  }
  if (words[at + 2] === "") return { kind: "sql", sql: withoutRows(table) };
  const name = quoteName(table.name);
  return { kind: "sql", sql: `INSERT INTO ${name} (${name}) VALUES ('rebuild');\n` };
}

function withoutRows({ name }: DumpTable): string {
  return `-- ${quoteName(name).replaceAll(/\s/g, " ")} keeps no rows that could be written\n`;
}

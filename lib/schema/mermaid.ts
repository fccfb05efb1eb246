import { type Field, tableFields } from "./fields.ts";
import { sorted } from "./format.ts";
import type { ForeignKeySchema, Schema, TableSchema } from "./model.ts";
import { fold } from "../sql/tokens.ts";

/**
 * Formats the tables and foreign keys of one or more databases as a Mermaid entity relationship
 * diagram. With several databases, each table name is prefixed with the name of its database.
 *
 * @param databases Schemas by the names of their databases. Their SQL must be unchanged from SQLite.
 */
export function formatMermaid(databases: ReadonlyMap<string, Schema>): string {
  const lines = [...databases].flatMap(([database, { tables }]) => {
    const nameOf = (table: string): string =>
      quoted(databases.size === 1 ? table : `${database}.${table}`);
    const known = new Map(tables.map((table) => [fold(table.name), table]));
    return [
      ...sorted(tables).flatMap((table) => entity(table, nameOf(table.name))),
      ...sorted(tables).flatMap((table) =>
        table.foreignKeys.map((key) => {
          const parent = known.get(fold(key.table))?.name ?? key.table;
          const columns = quoted(key.columns.join(", "));
          const ends = `${parentEnd(table, key)}--${childEnd(table, key)}`;
          return `  ${nameOf(parent)} ${ends} ${nameOf(table.name)} : ${columns}`;
        })
      ),
    ];
  });
  return `erDiagram\n${lines.map((line) => `${line}\n`).join("")}`;
}

function entity(table: TableSchema, name: string): string[] {
  const { fields } = tableFields(table);
  const columns = table.columns.map((column, at) => {
    const keys = [
      column.primaryKey > 0 ? "PK" : "",
      table.foreignKeys.some((key) => includes(key.columns, column.name)) ? "FK" : "",
      table.uniques.some((unique) => unique.length === 1 && includes(unique, column.name))
        ? "UK"
        : "",
    ].filter((key) => key !== "").join(", ");
    const word = wordOf(column.name);
    const comment = commentOf(column.name, word, fields[at]);
    return [`    ${wordOf(column.type || "ANY")} ${word}`, keys, comment]
      .filter((part) => part !== "").join(" ");
  });
  return [`  ${name} {`, ...columns, "  }"];
}

function commentOf(name: string, word: string, field: Field | undefined): string {
  const parts = [word === name ? null : name, field?.meaning ?? null];
  const text = parts.filter((part) => part !== null).join(": ");
  return text === "" ? "" : quoted(text);
}

/** A child row has exactly one parent, or at most one if a column can be NULL. */
function parentEnd(table: TableSchema, key: ForeignKeySchema): string {
  const isRequired = table.columns.every((column) =>
    column.notNull || column.primaryKey > 0 || !includes(key.columns, column.name)
  );
  return isRequired ? "||" : "|o";
}

/** A parent has any number of child rows, or at most one if the key's columns are unique. */
function childEnd(table: TableSchema, key: ForeignKeySchema): string {
  const primaryKey = table.columns.filter((column) => column.primaryKey > 0).map(({ name }) =>
    name
  );
  const isUnique = [primaryKey, ...table.uniques].some((unique) =>
    unique.length > 0 && unique.every((name) => includes(key.columns, name))
  );
  return isUnique ? "o|" : "o{";
}

function includes(names: readonly string[], name: string): boolean {
  return names.some((one) => fold(one) === fold(name));
}

/** Converts a name or type to a Mermaid word, because it cannot be quoted within an entity. */
function wordOf(name: string): string {
  const word = name.replaceAll(/\s*([(),])\s*/g, "$1")
    .replaceAll(/[^\w()[\],\u00C0-\u02FF\u0370-\u1FFF\u3040-\uD7FF-]+/g, "_");
  const isKey = /^(pk|fk|uk)$/i.test(word);
  return `${/^[A-Za-z_\u00C0-\uFFFF]/.test(word) ? "" : "_"}${word}${isKey ? "_" : ""}`;
}

// Characters that end the text, or that Mermaid treats as HTML or Markdown. An underscore within a word
// has no special meaning.
const SPECIAL = /["#%\\{}<>&*]|(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu;

/** Quotes a text, with Mermaid's codes for special characters. */
function quoted(text: string): string {
  const line = text.replaceAll(/\s+/g, " ");
  return `"${line.replaceAll(SPECIAL, (found) => `#${found.charCodeAt(0)};`)}"`;
}

import { entitiesOf, type Entity } from "./entities.ts";
import { formatView, sorted } from "./format.ts";
import {
  type ColumnSchema,
  describeForeignKey,
  describeTerms,
  type ForeignKeySchema,
  primaryKeyOf,
  type Schema,
  type TableSchema,
} from "./model.ts";
import { stableSchema } from "./document.ts";
import { fold, tokenize } from "../sql/tokens.ts";
import { type Field, tableFields } from "./fields.ts";

/**
 * Formats databases as Markdown: a diagram, then each table with its columns, keys, indexes and
 * triggers, then the views. Each of several databases has its own heading.
 *
 * @param databases Schemas by the names of their databases. Their SQL must be unchanged from SQLite.
 */
export function formatMarkdown(databases: ReadonlyMap<string, Schema>): string {
  return [...databases].map(([name, schema]) => page(name, schema)).join("\n");
}

function page(database: string, schema: Schema): string {
  const entities = new Map(entitiesOf(schema).map((entity) => [fold(entity.name), entity]));
  const { tables, indexes, triggers } = stableSchema(schema);
  const of = <T extends { readonly table: string }>(objects: readonly T[], name: string): T[] =>
    objects.filter(({ table }) => fold(table) === fold(name));
  const blocks = [
    `# ${text(database)}`,
    ...(tables.length === 0
      ? []
      : [fence("mermaid", formatMermaid(new Map([[database, schema]])))]),
    ...tables.flatMap((table) => [
      ...tableBlocks(table, entities.get(fold(table.name))),
      ...list(
        "Indexes",
        of(indexes, table.name).map((index) =>
          [
            code(index.name),
            " on ",
            code(describeTerms(index)),
            index.unique ? ", unique" : "",
            index.where === null ? "" : `, where ${code(index.where)}`,
          ].join("")
        ),
      ),
      ...list("Triggers", of(triggers, table.name).map(({ name }) => code(name))),
    ]),
    ...sorted(schema.views).flatMap((view) => [
      `## View ${text(view.name)}`,
      ...viewTable(entities.get(fold(view.name))),
      fence("sql", `${formatView(view)};\n`),
      ...list("Triggers", of(triggers, view.name).map(({ name }) => code(name))),
    ]),
  ];
  return blocks.map((block) => `${block}\n`).join("\n");
}

function tableBlocks(table: TableSchema, entity: Entity | undefined): string[] {
  const { columns, uniques, foreignKeys, autoincrement, withoutRowid, strict, virtual } = table;
  const columnOf = new Map(
    table.checks.map((check) => [check, onlyColumn(check.expression, table)]),
  );
  const rows = columns.map((column, at) => [
    code(column.name),
    typeOf(column),
    column.notNull || column.primaryKey > 0 ? "no" : "yes",
    column.default === null ? "" : code(column.default),
    table.checks.filter((check) => columnOf.get(check) === column)
      .map(({ expression }) => code(expression)).join(", "),
    text(entity?.fields[at]?.meaning ?? ""),
  ]);
  const primaryKey = primaryKeyOf(table);
  const options = [
    virtual ? "virtual table" : "",
    strict ? "STRICT" : "",
    withoutRowid ? "WITHOUT ROWID" : "",
    autoincrement ? "AUTOINCREMENT" : "",
  ].filter((option) => option !== "");
  const rules = [
    ...(primaryKey.length === 0 ? [] : [`Primary key: ${code(primaryKey.join(", "))}`]),
    ...uniques.map((names) => `Unique: ${code(names.join(", "))}`),
    ...foreignKeys.map((key) => `Foreign key: ${code(describeForeignKey(key))}`),
    ...table.checks.filter((check) => columnOf.get(check) === null)
      .map(({ name, expression }) =>
        `Check${name === null ? "" : ` ${code(name)}`}: ${code(expression)}`
      ),
    ...(options.length === 0 ? [] : [`Options: ${options.join(", ")}`]),
  ];
  return [
    `## ${text(table.name)}`,
    ...(entity?.meaning ? [text(entity.meaning)] : []),
    grid(["Column", "Type", "NULL", "Default", "Check", "Meaning"], rows),
    ...(rules.length === 0 ? [] : [rules.map((rule) => `- ${rule}`).join("\n")]),
  ];
}

function typeOf({ type, generated }: ColumnSchema): string {
  const declared = type === "" ? "any" : code(type);
  return generated === null
    ? declared
    : `${declared}, ${generated.kind}: ${code(generated.expression)}`;
}

/** The column that an expression names; null if it names none or several. */
function onlyColumn(expression: string, { columns }: TableSchema): ColumnSchema | null {
  const names = new Set(
    tokenize(expression).filter(({ kind }) => kind === "word" || kind === "quoted")
      .map(({ value }) => fold(value)),
  );
  const [only = null, ...others] = columns.filter(({ name }) => names.has(fold(name)));
  return others.length === 0 ? only : null;
}

function viewTable(view: Entity | undefined): string[] {
  if (view === undefined || view.fields.length === 0) return [];
  return [
    grid(
      ["Column", "Type", "NULL", "Meaning"],
      view.fields.map(({ name, kind, values, nullable, meaning }) => [
        code(name),
        values === null ? kind : values.map((value) => code(String(value))).join(", "),
        nullable ? "yes" : "no",
        text(meaning ?? ""),
      ]),
    ),
  ];
}

function list(title: string, items: readonly string[]): string[] {
  return items.length === 0 ? [] : [`${title}:\n\n${items.map((item) => `- ${item}`).join("\n")}`];
}

/** Formats a table, without columns that are empty in all rows, except the first column. */
function grid(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const kept = head.flatMap((_, at) => at === 0 || rows.some((row) => row[at] !== "") ? [at] : []);
  const line = (cells: readonly string[]): string =>
    `| ${kept.map((at) => cells[at] ?? "").join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function fence(language: string, body: string): string {
  const longest = Math.max(2, ...[...body.matchAll(/`+/g)].map(([ticks]) => ticks.length));
  const ticks = "`".repeat(longest + 1);
  return `${ticks}${language}\n${body}${ticks}`;
}

/** Formats inline code on one line. A `|` would end a table cell, even within code. */
function code(source: string): string {
  const line = source.replaceAll(/\s+/g, " ").replaceAll("|", "\\|");
  const longest = Math.max(0, ...[...line.matchAll(/`+/g)].map(([ticks]) => ticks.length));
  const ticks = "`".repeat(longest + 1);
  return longest === 0 ? `${ticks}${line}${ticks}` : `${ticks} ${line} ${ticks}`;
}

/** Escapes a text for Markdown, on one line. */
function text(source: string): string {
  return source.replaceAll(/\s+/g, " ").replaceAll(
    /[\\`*<>[\]|#~]|(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu,
    "\\$&",
  );
}

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
  const isUnique = [primaryKeyOf(table), ...table.uniques].some((unique) =>
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

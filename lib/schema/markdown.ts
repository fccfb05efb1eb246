import { describeForeignKey, describeTerms } from "./compare.ts";
import { entitiesOf, type Entity } from "./entities.ts";
import { formatView, sorted } from "./format.ts";
import { formatMermaid } from "./mermaid.ts";
import type { ColumnSchema, Schema, TableSchema } from "./model.ts";
import { stableSchema } from "./document.ts";
import { fold, tokenize } from "../sql/tokens.ts";

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
  const primaryKey = columns.filter((column) => column.primaryKey > 0)
    .toSorted((a, b) => a.primaryKey - b.primaryKey);
  const options = [
    virtual ? "virtual table" : "",
    strict ? "STRICT" : "",
    withoutRowid ? "WITHOUT ROWID" : "",
    autoincrement ? "AUTOINCREMENT" : "",
  ].filter((option) => option !== "");
  const rules = [
    ...(primaryKey.length === 0
      ? []
      : [`Primary key: ${code(primaryKey.map(({ name }) => name).join(", "))}`]),
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

import { entitiesOf, originOf, TypeNames } from "./entities.ts";
import type { Field, FieldKind } from "./fields.ts";
import type { Schema } from "./model.ts";

const TYPES: Readonly<Record<FieldKind, string>> = {
  integer: "number",
  real: "number",
  number: "number",
  text: "string",
  moment: "string | number",
  blob: "Uint8Array",
  any: "SqlValue",
};

const SUFFIXES = ["Row", "Insert", "Update"] as const;
const LINE_WIDTH = 100;

const HELPERS = `/** Any value that SQLite can store, except NULL. */
export type SqlValue = string | number | Uint8Array;

/** A table for Kysely. Columns that are missing from \`Insert\` cannot be written. */
type Table<Row, Insert = Record<never, never>> = {
  [Name in keyof Row]: {
    readonly __select__: Row[Name];
    readonly __insert__: Name extends keyof Insert ? Insert[Name] : never;
    readonly __update__: Name extends keyof Insert ? Insert[Name] : never;
  };
};
`;

/**
 * Formats the types of rows as a TypeScript module without imports: for each table the types of a row, a
 * new row and an update, and for each database a type for Kysely.
 *
 * @param databases Schemas by the names of their databases. Their SQL must be unchanged from SQLite.
 */
export function formatTypeScript(databases: ReadonlyMap<string, Schema>): string {
  const names = new TypeNames(["SqlValue", "Table", "Record", "Uint8Array", "Partial"]);
  // A view shares the list of values with its table, and so the name of the alias.
  const aliasOf = new Map<Field["values"], string>();
  const listed = [...databases].map(([name, schema]) => {
    const type = `${names.take(name, ["Database"])}Database`;
    const entities = entitiesOf(schema).map((entity) => {
      return { ...entity, type: names.take(entity.name, SUFFIXES) };
    });
    return { name, type, entities };
  });
  const blocks = listed.flatMap(({ name, type: database, entities }) => {
    const types = entities.flatMap(({ name, isView, meaning, type, fields }) => {
      const aliases: string[] = [];
      const typed = fields.map((field) => {
        if (field.values === null) return { ...field, type: TYPES[field.kind] };
        const alias = aliasOf.get(field.values) ?? names.take(`${type}_${field.name}`);
        if (!aliasOf.has(field.values)) aliases.push(union(alias, field.values));
        aliasOf.set(field.values, alias);
        return { ...field, type: alias };
      });
      const written = typed.filter((field) => !field.readOnly);
      const row = block(`export interface ${type}Row`, {
        comment: [`A row of \`${name}\`.`, meaning],
        lines: typed.flatMap((field) => [
          ...(field.meaning === null ? [] : [`/** ${comment(field.meaning)} */`]),
          `${field.readOnly && !isView ? "readonly " : ""}${property(field, false)};`,
        ]),
      });
      if (isView) return [...aliases, row];
      const insert = block(`export interface ${type}Insert`, {
        comment: [`A new row of \`${name}\`.`],
        lines: written.map((field) => `${property(field, field.optional)};`),
      });
      return [
        ...aliases,
        row,
        insert,
        `/** Changes to a row of \`${comment(name)}\`. */\n` +
        `export type ${type}Update = Partial<${type}Insert>;\n`,
      ];
    });
    const tables = block(`export interface ${database}`, {
      comment: [`The database ${name} for Kysely: \`new Kysely<${database}>(…)\`.`],
      lines: entities.map(({ name, isView, type }) =>
        `${key(name)}: Table<${type}Row${isView ? "" : `, ${type}Insert`}>;`
      ),
    });
    return [...types, tables];
  });
  return [
    `// ${originOf(databases, "typescript")}\n`,
    HELPERS,
    ...blocks,
  ].join("\n");
}

function block(
  head: string,
  { comment: texts, lines }: { comment: readonly (string | null)[]; lines: readonly string[] },
): string {
  const text = texts.filter((one) => one !== null).map(comment).join(" ");
  const body = lines.map((line) => `  ${line}\n`).join("");
  return `/** ${text} */\n${head} {${body === "" ? "" : `\n${body}`}}\n`;
}

function property(field: Field & { readonly type: string }, isOptional: boolean): string {
  const mark = isOptional ? "?" : "";
  return `${key(field.name)}${mark}: ${field.type}${field.nullable ? " | null" : ""}`;
}

function union(name: string, values: readonly (string | number)[]): string {
  const texts = values.map((value) => JSON.stringify(value));
  const line = `export type ${name} = ${texts.join(" | ")};\n`;
  return line.length <= LINE_WIDTH
    ? line
    : `export type ${name} =\n${texts.map((text) => `  | ${text}`).join("\n")};\n`;
}

function key(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name);
}

/** Makes a text safe for a comment: one line that cannot end the comment. */
function comment(text: string): string {
  return text.replaceAll(/\s+/g, " ").replaceAll("*/", "*\\/");
}

import { entitiesOf, originOf, TypeNames } from "./entities.ts";
import type { Field, FieldKind } from "./fields.ts";
import type { Schema } from "./model.ts";

const TYPES: Readonly<Record<FieldKind, string>> = {
  integer: "int",
  real: "float",
  number: "float", // Python's type checkers accept an int as a float
  text: "str",
  moment: "Union[str, float]",
  blob: "bytes",
  any: "SqlValue",
};

const SUFFIXES = ["", "Row", "Insert", "Update", "Required", "Optional"] as const;
const RESERVED = ["Literal", "Optional", "SqlValue", "TypedDict", "Union", "None", "True", "False"];
const LINE_WIDTH = 100;

// Names that a field of a class cannot have.
const KEYWORDS = new Set(
  ("False None True and as assert async await break class continue def del elif else except finally " +
    "for from global if import in is lambda nonlocal not or pass raise return try while with yield")
    .split(" "),
);

interface TypedField extends Field {
  readonly type: string;
}

/**
 * Formats the types of rows as a Python module for Python 3.8 and later that needs only the standard
 * library: for each table a dataclass for a row, and TypedDicts for a row, a new row and an update.
 *
 * @param databases Schemas by the names of their databases. Their SQL must be unchanged from SQLite.
 */
export function formatPython(databases: ReadonlyMap<string, Schema>): string {
  const names = new TypeNames(RESERVED);
  // A view shares the list of values with its table, and so the name of the alias.
  const aliasOf = new Map<Field["values"], string>();
  const listed = [...databases.values()].map((schema) =>
    entitiesOf(schema).map((entity) => ({ ...entity, type: names.take(entity.name, SUFFIXES) }))
  );
  const blocks = listed.flat().flatMap(({ name, isView, meaning, type, fields }) => {
    const aliases: string[] = [];
    const typed = fields.map((field): TypedField => {
      // A Literal cannot contain a float.
      const isLiteral = field.values?.every((value) =>
        typeof value === "string" || Number.isSafeInteger(value)
      );
      let base = TYPES[field.kind];
      if (field.values !== null && isLiteral) {
        base = aliasOf.get(field.values) ?? names.take(`${type}_${field.name}`);
        if (!aliasOf.has(field.values)) aliases.push(literal(base, field.values));
        aliasOf.set(field.values, base);
      }
      return { ...field, type: field.nullable ? `Optional[${base}]` : base };
    });
    const written = typed.filter((field) => !field.readOnly);
    const row = `A row of ${name}.${meaning === null ? "" : ` ${meaning}`}`;
    const types = [
      dataclass(type, row, typed),
      typedDict(`${type}Row`, `A row of ${name} as a dict.`, { fields: typed }),
    ];
    if (isView) return [...aliases, ...types];
    const required = written.filter((field) => !field.optional);
    const optional = written.filter((field) => field.optional);
    return [
      ...aliases,
      ...types,
      typedDict(`_${type}Required`, `What a new row of ${name} must have.`, { fields: required }),
      typedDict(`_${type}Optional`, `What a new row of ${name} can have.`, {
        fields: optional,
        isPartial: true,
      }),
      `class ${type}Insert(_${type}Required, _${type}Optional):\n` +
      `    ${docstring(`A new row of ${name}.`)}\n`,
      typedDict(`${type}Update`, `Changes to a row of ${name}.`, {
        fields: written,
        isPartial: true,
      }),
    ];
  });
  const head = `# ${originOf(databases, "python")}
from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Optional, TypedDict, Union

# Any value that SQLite can store, except NULL.
SqlValue = Union[int, float, str, bytes]
`;
  return [head, ...blocks].join("\n\n");
}

function dataclass(name: string, text: string, fields: readonly TypedField[]): string {
  const used = new Set<string>();
  const lines = fields.map((field) => {
    const attribute = attributeOf(field.name, used);
    const notes = [
      ...(attribute === field.name ? [] : [`column ${JSON.stringify(field.name)}`]),
      ...(field.meaning === null ? [] : [comment(field.meaning)]),
    ];
    return `    ${attribute}: ${field.type}${notes.length > 0 ? `  # ${notes.join(": ")}` : ""}\n`;
  });
  return `@dataclass\nclass ${name}:\n    ${docstring(text)}\n\n${lines.join("")}`.trimEnd() + "\n";
}

interface TypedDictOptions {
  readonly fields: readonly TypedField[];
  /** Whether every key is optional. Default `false`. */
  readonly isPartial?: boolean;
}

function typedDict(name: string, text: string, options: TypedDictOptions): string {
  const { fields, isPartial = false } = options;
  const total = isPartial ? ", total=False" : "";
  if (fields.every((field) => isAttribute(field.name))) {
    const lines = fields.map((field) => `    ${field.name}: ${field.type}\n`);
    const body = `class ${name}(TypedDict${total}):\n    ${docstring(text)}\n\n${lines.join("")}`;
    return `${body.trimEnd()}\n`;
  }
  const lines = fields.map((field) => `        ${JSON.stringify(field.name)}: ${field.type},\n`);
  return `# ${comment(text)}\n${name} = TypedDict(\n    "${name}",\n    {\n${lines.join("")}    }${
    isPartial ? ",\n    total=False" : ""
  },\n)\n`;
}

function literal(name: string, values: readonly (string | number)[]): string {
  const texts = values.map((value) => JSON.stringify(value));
  const line = `${name} = Literal[${texts.join(", ")}]\n`;
  return line.length <= LINE_WIDTH
    ? line
    : `${name} = Literal[\n${texts.map((text) => `    ${text},\n`).join("")}]\n`;
}

function isAttribute(name: string): boolean {
  // Python changes names that begin with two underscores within a class.
  return /^[\p{L}_][\p{L}\p{N}_]*$/u.test(name) && !name.startsWith("__") && !KEYWORDS.has(name);
}

function attributeOf(name: string, used: Set<string>): string {
  const plain = name.replaceAll(/[^\p{L}\p{N}_]/gu, "_").replace(/^_+/, "");
  let attribute = isAttribute(name) ? name : /^\p{L}/u.test(plain) ? plain : `column_${plain}`;
  while (used.has(attribute) || KEYWORDS.has(attribute)) attribute += "_";
  used.add(attribute);
  return attribute;
}

function docstring(text: string): string {
  return `"""${comment(text).replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"""`;
}

/** A text on one line. */
function comment(text: string): string {
  return text.replaceAll(/\s+/g, " ");
}

/**
 * Columns as programs see them: the kind of value, the possible values, and the comment in the SQL.
 *
 * @module
 */
import { affinityOf, type ColumnSchema, type TableSchema } from "./model.ts";
import { definitionsIn, isConstraint } from "./read.ts";
import { fold, type Token, tokenIs, tokenize } from "../sql/tokens.ts";
import {
  closingParenthesis,
  itemsOf,
  outsideParentheses,
  splitTokens,
  withoutOuterParentheses,
} from "../sql/parentheses.ts";

/** The kind of value in a column. `number` is an integer or a real, `moment` a text or a number. */
export type FieldKind = "integer" | "real" | "number" | "text" | "moment" | "blob" | "any";

/** The type of a value that a program reads. */
export interface FieldValue {
  /** The kind of value. */
  readonly kind: FieldKind;
  /** All possible values besides NULL; null if there is no such list. */
  readonly values: readonly (string | number)[] | null;
  /** Whether it can be NULL. */
  readonly nullable: boolean;
}

/** A column of a table or view, as seen by a program that uses the database. */
export interface Field extends FieldValue {
  /** Name in its original spelling. */
  readonly name: string;
  /** Whether a new row can omit it: it has a default, it can be NULL, or SQLite numbers the rows. */
  readonly optional: boolean;
  /** Whether it cannot be written, because it is generated or belongs to a view. */
  readonly readOnly: boolean;
  /** The comment after the column in the SQL; null if there is none. */
  readonly meaning: string | null;
}

/** The columns and the comments of a table. */
interface TableFields {
  /** The comment after the opening parenthesis; null if there is none. */
  readonly meaning: string | null;
  /** Columns in order. */
  readonly fields: readonly Field[];
}

/** Describes the columns of a table. Its SQL must be unchanged, because comments contain the meanings. */
export function tableFields(table: TableSchema): TableFields {
  const comments = readComments(table.sql, table.virtual ? [] : definitionsOf(table.sql), {
    // `ALTER TABLE … ADD COLUMN` inserts the new columns before the comment of the last one.
    describes: "first",
  });
  return {
    meaning: comments.own,
    fields: table.columns.map((column): Field => {
      const { name, type, notNull, primaryKey, generated } = column;
      const nullable = !notNull && primaryKey === 0;
      return {
        name,
        kind: kindOf(type, { strict: table.strict }),
        values: valuesOf(column, table),
        nullable,
        optional: nullable || column.default !== null || isRowidAlias(column, table),
        readOnly: generated !== null,
        meaning: comments.byName.get(fold(name)) ?? null,
      };
    }),
  };
}

/** Whether SQLite numbers the rows in this column. */
function isRowidAlias(column: ColumnSchema, table: TableSchema): boolean {
  return column.primaryKey === 1 && !table.withoutRowid && fold(column.type) === "integer" &&
    table.columns.every((other) => other === column || other.primaryKey === 0);
}

/** The kind of value that programs keep in a column of a declared type. */
export function kindOf(type: string, options: { readonly strict?: boolean } = {}): FieldKind {
  switch (affinityOf(type, options.strict ?? false)) {
    case "INTEGER":
      return "integer";
    case "REAL":
      return "real";
    case "TEXT":
      return "text";
    case "BLOB":
      return /blob/i.test(type) ? "blob" : "any";
    case "NUMERIC":
      // These types mean nothing special to SQLite; their names suggest what programs store.
      if (/date|time/i.test(type)) return "moment";
      if (/bool/i.test(type)) return "integer";
      if (/^(json|uuid|string)$/i.test(type)) return "text";
      return /num|dec|money/i.test(type) ? "number" : "any";
  }
}

/**
 * The values that a check allows in a column, as SQLite stores them. A case-insensitive column accepts
 * other spellings than those in the list, so its list is not used.
 */
function valuesOf(column: ColumnSchema, table: TableSchema): (string | number)[] | null {
  if (column.collation !== "BINARY") return null;
  for (const check of table.checks) {
    for (const operand of operandsOf(tokenize(check.expression), column)) {
      const list = listFor(column, operand);
      const values = list?.map((item) => literalOf(item, column, table)) ?? [null];
      const found = values.filter((value) => value !== null);
      if (found.length === values.length) return [...new Set(found)];
    }
  }
  return null;
}

/** The expressions that must all hold for every value of the column except NULL. */
function operandsOf(expression: readonly Token[], column: ColumnSchema): (readonly Token[])[] {
  const tokens = withoutOuterParentheses(expression);
  if (outsideParentheses(tokens).some((at) => tokenIs(tokens[at], "between", "case"))) return [];
  const isNull = (part: readonly Token[]): boolean =>
    part.length === 3 && isColumn(part[0], column) && tokenIs(part[1], "is") &&
    tokenIs(part[2], "null");
  const choices = splitTokens(tokens, "or").map(withoutOuterParentheses).filter((part) =>
    !isNull(part)
  );
  const [only = [], ...others] = choices;
  return others.length > 0 ? [] : splitTokens(only, "and").map(withoutOuterParentheses);
}

/** The items of `column IN (…)`. */
function listFor(column: ColumnSchema, tokens: readonly Token[]): Token[][] | null {
  const isList = isColumn(tokens[0], column) && tokenIs(tokens[1], "in") &&
    tokenIs(tokens[2], "(") &&
    closingParenthesis(tokens, 2) === tokens.length - 1;
  return isList ? itemsOf(tokens, 2) : null;
}

function isColumn(token: Token | undefined, { name }: ColumnSchema): boolean {
  return (token?.kind === "word" || token?.kind === "quoted") && fold(token.value) === fold(name);
}

/** A text or number as the column stores it; null for anything else, such as NULL or a column. */
function literalOf(
  tokens: readonly Token[],
  column: ColumnSchema,
  table: TableSchema,
): string | number | null {
  const affinity = affinityOf(column.type, table.strict);
  const sign = tokenIs(tokens[0], "-") ? -1 : 1;
  const [token, ...others] = tokenIs(tokens[0], "-", "+") ? tokens.slice(1) : tokens;
  if (token === undefined || others.length > 0) return null;
  if (token.kind === "number") {
    const number = sign * Number(token.value);
    return affinity === "TEXT" ? String(number) : number;
  }
  // A double-quoted name is a string if no column has that name.
  const isText = token.kind === "string" || (token.text.startsWith('"') &&
    table.columns.every(({ name }) => fold(name) !== fold(token.value)));
  if (!isText || tokens.length > 1) return null;
  const isNumeric = affinity !== "TEXT" && affinity !== "BLOB" &&
    /^[+-]?(\d+\.?\d*|\.\d+)$/.test(token.value);
  return isNumeric ? Number(token.value) : token.value;
}

/** A column in a text that has comments. */
interface CommentedItem {
  /** Key for its comment; null if its comments are ignored. */
  readonly name: string | null;
  readonly tokens: readonly Token[];
}

/** The comments of a list of columns. */
interface Comments {
  /** The comment on the line where the list begins; null if there is none. */
  readonly own: string | null;
  /** Comments by the names of the items. */
  readonly byName: ReadonlyMap<string, string>;
}

/** The columns and constraints that a `CREATE TABLE` defines. */
function definitionsOf(sql: string): CommentedItem[] {
  return definitionsIn(tokenize(sql)).map((tokens) => ({
    name: isConstraint(tokens) ? null : fold(tokens[0]?.value ?? ""),
    tokens,
  }));
}

/** Which of several columns on one line a comment describes. */
interface ReadCommentsOptions {
  /** Default `last`. */
  readonly describes?: "first" | "last";
}

/**
 * Reads the comments of a list of columns. A comment describes a column on its line; a comment directly
 * below another one continues it.
 */
export function readComments(
  sql: string,
  items: readonly CommentedItem[],
  options: ReadCommentsOptions = {},
): Comments {
  const texts = new Map<string, string[]>();
  const start = items[0]?.tokens[0]?.start ?? 0;
  let last = { key: null as string | null, end: -1, indentation: -1 };
  for (const comment of commentsOf(sql)) {
    const lineStart = sql.lastIndexOf("\n", comment.start - 1) + 1;
    const line = sql.slice(lineStart, comment.start);
    const onLine = items.filter(({ tokens }) =>
      tokens.some((token) => token.end > lineStart && token.start < comment.start)
    );
    const item = onLine.at(options.describes === "first" ? 0 : -1);
    const isAlone = line.trim() === "";
    let key: string | null = null;
    if (item !== undefined) key = item.name;
    else if (!isAlone && comment.start < start) key = OWN;
    else if (isAlone && last.end === lineStart - 1 && last.indentation === line.length) {
      key = last.key;
    }
    last = { key, end: comment.end, indentation: line.length };
    if (key !== null) texts.set(key, [...texts.get(key) ?? [], textOf(comment.text)]);
  }
  const byName = new Map([...texts].map(([key, lines]) => [key, lines.join(" ").trim()]));
  return { own: byName.get(OWN) || null, byName };
}

/** No column has an empty name in a list of definitions. */
const OWN = "";

interface Comment {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** The comments between the tokens of a text. */
function* commentsOf(sql: string): Generator<Comment> {
  let from = 0;
  for (const token of [...tokenize(sql), { start: sql.length, end: sql.length }]) {
    for (const match of sql.slice(from, token.start).matchAll(/--[^\n]*|\/\*[^]*?(?:\*\/|$)/g)) {
      const start = from + match.index;
      yield { start, end: start + match[0].length, text: match[0] };
    }
    from = token.end;
  }
}

function textOf(comment: string): string {
  return comment.replaceAll(/^--+|^\/\*+|\*+\/$/g, "").replaceAll(/\s+/g, " ").trim();
}

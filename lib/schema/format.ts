import { indent, layOut, layOutStatement, oneLine } from "../sql/layout.ts";
import { RESERVED, spell, type SpelledToken, spellName } from "../sql/spelling.ts";
import { fold, originalText, type Token, tokenIs, tokenize } from "../sql/tokens.ts";
import { closingParenthesis, itemsOf } from "../sql/parentheses.ts";
import type { IndexSchema, Schema, TableSchema, TriggerSchema, ViewSchema } from "./model.ts";
import { definitionsIn, isConstraint } from "./read.ts";

/**
 * Formats a schema as SQL that creates it in an empty database, always in the same order and layout:
 * tables by name, each with its indexes and triggers, then views with their triggers. Ignores the
 * original white space, comments and quotes around names. Empty for an empty schema.
 *
 * @example Format only one table
 * ```ts
 * import { formatSchema, parseSchema } from "@catalyst/migrate/schema";
 *
 * const { schema } = await parseSchema("create table b (x); create table a (x)");
 * const tables = schema.tables.filter(({ name }) => name === "a");
 * console.assert(formatSchema({ ...schema, tables }) === "CREATE TABLE a (\n  x\n);\n");
 * ```
 */
export function formatSchema(schema: Schema): string {
  const { tables, indexes, views, triggers } = schema;
  const blocks = [
    ...sorted(tables).map((table) => [
      formatTable(table),
      ...sorted(ofTable(indexes, table)).map((index) => formatIndex(index, table)),
      ...sorted(ofTable(triggers, table)).map(formatTrigger),
    ]),
    ...sorted(views).map((view) => [
      formatView(view),
      ...sorted(ofTable(triggers, view)).map(formatTrigger),
    ]),
  ];
  return blocks.map((statements) => `${statements.map((sql) => `${sql};\n`).join("")}`).join("\n");
}

interface Named {
  readonly name: string;
}

/** Objects sorted by name, as SQLite compares names. */
export function sorted<T extends Named>(objects: readonly T[]): T[] {
  const order = (a: string, b: string): number => a < b ? -1 : a > b ? 1 : 0;
  return objects.toSorted((a, b) => order(fold(a.name), fold(b.name)));
}

function ofTable<T extends { readonly table: string }>(objects: readonly T[], owner: Named): T[] {
  return objects.filter(({ table }) => fold(table) === fold(owner.name));
}

/** The `CREATE TABLE` of a table, with one column or constraint per line and no semicolon. */
export function formatTable(table: TableSchema): string {
  const { sql, name, virtual } = table;
  const tokens = tokenize(sql);
  if (virtual) return formatVirtualTable(sql, tokens, name);
  const open = tokens.findIndex((token) => tokenIs(token, "("));
  const items = definitionsIn(tokens).map((item) => {
    const names = new Set(isConstraint(item) ? [] : item.slice(0, 1));
    return indent(layOut(spell(item, { names, known: knownTo(table) }), 3));
  });
  const options = oneLine(
    spell(tokens.slice(closingParenthesis(tokens, open) + 1), { names: new Set() }),
  ).toUpperCase();
  return [
    `CREATE TABLE ${spellName(name)} (`,
    items.map((lines) => lines.join("\n")).join(",\n"),
    options === "" ? ")" : `) ${options}`,
  ].join("\n");
}

function knownTo(table: TableSchema): Set<string> {
  return new Set([table, ...table.columns].map(({ name }) => fold(name)));
}

/** Keeps the arguments of a virtual table unchanged, because its module has its own syntax. */
function formatVirtualTable(sql: string, tokens: readonly Token[], name: string): string {
  const module = tokens[tokens.findIndex((token) => tokenIs(token, "using")) + 1];
  const head = `CREATE VIRTUAL TABLE ${spellName(name)} USING ${spellName(module?.value ?? "")}`;
  const open = tokens.findIndex((token) => tokenIs(token, "("));
  if (open === -1) return head;
  const items = definitionsIn(tokens).map((item) => originalText(sql, item));
  return items.join("") === "" ? `${head}()` : `${head} (\n${indent(items).join(",\n")}\n)`;
}

/** The `CREATE INDEX` of an index of a table, without a semicolon. */
export function formatIndex(index: IndexSchema, table: TableSchema | undefined): string {
  const tokens = tokenize(index.sql);
  const on = tokens.findIndex((token) => tokenIs(token, "on"));
  const names = tokens.filter((_, at) => at === on - 1 || at === on + 1);
  const known = table === undefined ? {} : { known: knownTo(table) };
  return layOut(spell(tokens, { names: new Set(names), ...known })).join("\n");
}

/** The `CREATE VIEW` of a view, with one clause or column per line and no semicolon. */
export function formatView({ sql }: ViewSchema): string {
  const tokens = keepUnnamed(sql, tokenize(sql));
  const as = tokens.findIndex((token) => tokenIs(token, "as"));
  const [header, query] = cut(spell(tokens, { names: new Set(tokens.slice(2, 3)) }), as + 1);
  return [...layOut(header), ...layOutStatement(query)].join("\n");
}

/** The `CREATE TRIGGER` of a trigger, with one clause per line and no semicolon. */
export function formatTrigger({ sql }: TriggerSchema): string {
  const tokens = keepUnnamed(sql, tokenize(sql));
  const on = tokens.findIndex((token) => tokenIs(token, "on"));
  // The columns of an UPDATE OF.
  const names = tokens.filter((token, at) =>
    at === 2 || at === on + 1 || (at < on && token.kind === "quoted")
  );
  const pieces = withEventWords(spell(tokens, { names: new Set(names) }), on);
  const begin = pieces.findIndex(({ key }, at) =>
    key === "begin" && STATEMENTS.includes(pieces[at + 1]?.key ?? "")
  );
  const [header, body] = cut(pieces, begin);
  const when = header.findIndex(({ key }) => key === "when");
  const [event, condition] = cut(header, when === -1 ? header.length : when);
  return [
    ...layOut(event),
    ...(condition.length === 0 ? [] : layOut(condition)),
    "BEGIN",
    ...statementsOf(body.slice(1, -1)).flatMap((statement) => {
      const lines = indent(layOutStatement(statement, 3));
      return [...lines.slice(0, -1), `${lines.at(-1) ?? ""};`];
    }),
    "END",
  ].join("\n");
}

/** Puts a trigger's `BEFORE`, `FOR EACH ROW` and similar words in upper case, but not columns with such names. */
function withEventWords(pieces: readonly SpelledToken[], on: number): SpelledToken[] {
  const isTime = (at: number) =>
    at === 3 && ["before", "after", "instead"].includes(pieces[at]?.key ?? "") ||
    pieces[at]?.key === "of" && ["instead", "update"].includes(pieces[at - 1]?.key ?? "");
  const isEach = (at: number) => ["for", "each", "row"][at - on - 2] === pieces[at]?.key;
  return pieces.map((piece, at) =>
    (at < on && isTime(at)) || isEach(at) ? { ...piece, text: piece.text.toUpperCase() } : piece
  );
}

const STATEMENTS = ["select", "insert", "update", "delete", "replace", "with"];

function cut(
  pieces: readonly SpelledToken[],
  at: number,
): [readonly SpelledToken[], readonly SpelledToken[]] {
  return [pieces.slice(0, at), pieces.slice(at)];
}

function statementsOf(pieces: readonly SpelledToken[]): SpelledToken[][] {
  const statements: SpelledToken[][] = [[]];
  for (const piece of pieces) {
    if (piece.key === ";") statements.push([]);
    else statements.at(-1)?.push(piece);
  }
  return statements.filter((statement) => statement.length > 0);
}

/**
 * Turns each column of a SELECT that is an expression without an alias into one token with the original
 * text, because that text, including white space and comments, is the column's name.
 */
function keepUnnamed(sql: string, tokens: readonly Token[]): Token[] {
  const kept: Token[] = [];
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at];
    if (token === undefined) break;
    kept.push(token);
    if (!tokenIs(token, "select") || !isNaming(tokens, at)) continue;
    const quantifier = tokens[at + 1];
    const isQuantified = quantifier !== undefined && tokenIs(quantifier, "distinct", "all");
    if (isQuantified) kept.push(quantifier);
    const start = at + (isQuantified ? 2 : 1);
    const end = endOfColumns(tokens, start);
    const columns = columnsOf(tokens, start, end);
    for (const [place, column] of columns.entries()) {
      const next = tokens[tokens.indexOf(column.at(-1) ?? token) + 1];
      kept.push(...(isNamed(column) ? keepUnnamed(sql, column) : [verbatim(sql, column, next)]));
      // The comma, which is the next token.
      if (place < columns.length - 1 && next !== undefined) kept.push(next);
    }
    at = end - 1;
  }
  return kept;
}

/** Whether the column names of a SELECT may matter: not in a comparison or after a UNION. */
function isNaming(tokens: readonly Token[], select: number): boolean {
  const before = tokens[select - 1];
  if (tokenIs(before, "union", "all", "except", "intersect", ";", "begin")) return false;
  if (!tokenIs(before, "(")) return true;
  const user = tokens[select - 2];
  if (user?.kind === "operator") return tokenIs(user, ",", "(");
  return user?.kind !== "word" || !RESERVED.has(user.value) || tokenIs(user, "from", "join", "as");
}

const AFTER_COLUMNS = "from where group having order limit union except intersect ;".split(" ");

function endOfColumns(tokens: readonly Token[], start: number): number {
  let depth = 0;
  for (let at = start; at < tokens.length; at++) {
    const token = tokens[at];
    if (tokenIs(token, "(")) depth++;
    else if (tokenIs(token, ")") && --depth < 0) return at;
    else if (
      depth === 0 && tokenIs(token, ...AFTER_COLUMNS) && !tokenIs(tokens[at - 1], "distinct")
    ) {
      return at;
    }
  }
  return tokens.length;
}

function columnsOf(tokens: readonly Token[], start: number, end: number): Token[][] {
  // Adds parentheses, because `itemsOf` splits what is between them.
  const parenthesis = (value: string): Token => (
    { kind: "operator", value, text: value, start: 0, end: 0 }
  );
  return itemsOf([parenthesis("("), ...tokens.slice(start, end), parenthesis(")")], 0);
}

function isNamed(column: readonly Token[]): boolean {
  const isName = (token: Token | undefined): boolean =>
    token?.kind === "quoted" || tokenIs(token, "*") ||
    (token?.kind === "word" && !RESERVED.has(token.value));
  const [first, second] = column;
  if (column.length === 1) return isName(first);
  if (tokenIs(column.at(-2), "as")) return true;
  return isName(first) && tokenIs(second, ".") && column.length <= 5 && isName(column.at(-1)) &&
    tokenIs(column.at(-2), ".");
}

function verbatim(sql: string, column: readonly Token[], next: Token | undefined): Token {
  const start = column[0]?.start ?? 0;
  const end = next?.start ?? column.at(-1)?.end ?? 0;
  // SQLite includes a trailing comment in the name; the following text must not become part of it.
  const text = sql.slice(start, end).trimEnd();
  const ends = /--[^\n]*$/.test(text) ? "\n" : "";
  return { kind: "string", value: text, text: text + ends, start, end };
}

import { indent, layOut, layOutStatement, oneLine } from "../sql/layout.ts";
import type { IndexSchema, Schema, TableSchema, TriggerSchema, ViewSchema } from "./model.ts";
import { type Piece, spell, spellName } from "../sql/spelling.ts";
import { closing, fold, is, itemsOf, source, type Token, tokenize } from "../sql/tokens.ts";
import { keepUnnamed } from "./unnamed.ts";

/**
 * Writes a schema as SQL that makes the same one in an empty database, always in the same order and
 * layout: tables by name, each with its indexes and triggers, then views with their triggers. White
 * space, comments and quotes around names don't count. Empty where the schema is.
 *
 * @example Write only one table
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

/** Objects by name, as SQLite compares names. */
export function sorted<T extends Named>(objects: readonly T[]): T[] {
  const order = (a: string, b: string): number => a < b ? -1 : a > b ? 1 : 0;
  return objects.toSorted((a, b) => order(fold(a.name), fold(b.name)));
}

function ofTable<T extends { readonly table: string }>(objects: readonly T[], owner: Named): T[] {
  return objects.filter(({ table }) => fold(table) === fold(owner.name));
}

/** The `CREATE TABLE` of a table, one column or constraint a line, without a semicolon. */
export function formatTable(table: TableSchema): string {
  const { sql, name, virtual } = table;
  const tokens = tokenize(sql);
  if (virtual) return formatVirtualTable(sql, tokens, name);
  const open = tokens.findIndex((token) => is(token, "("));
  const items = itemsOf(tokens, open).map((item) =>
    indent(layOut(spell(item, { names: definedBy(item), known: knownTo(table) }), 3))
  );
  const options = oneLine(
    spell(tokens.slice(closing(tokens, open) + 1), { names: new Set() }),
  ).toUpperCase();
  return [
    `CREATE TABLE ${spellName(name)} (`,
    items.map((lines) => lines.join("\n")).join(",\n"),
    options === "" ? ")" : `) ${options}`,
  ].join("\n");
}

/** The column that a part of a `CREATE TABLE` defines; none where it is a constraint. */
function definedBy(item: readonly Token[]): Set<Token> {
  const [first] = item;
  const isConstraint = is(first, "constraint", "primary", "unique", "check", "foreign");
  return new Set(first === undefined || isConstraint ? [] : [first]);
}

function knownTo(table: TableSchema): Set<string> {
  return new Set([table, ...table.columns].map(({ name }) => fold(name)));
}

/** The module reads its arguments by rules of its own: they stay as they were written. */
function formatVirtualTable(sql: string, tokens: readonly Token[], name: string): string {
  const module = tokens[tokens.findIndex((token) => is(token, "using")) + 1];
  const head = `CREATE VIRTUAL TABLE ${spellName(name)} USING ${spellName(module?.value ?? "")}`;
  const open = tokens.findIndex((token) => is(token, "("));
  if (open === -1) return head;
  const items = itemsOf(tokens, open).map((item) => source(sql, item));
  return items.join("") === "" ? `${head}()` : `${head} (\n${indent(items).join(",\n")}\n)`;
}

/** The `CREATE INDEX` of an index of a table, without a semicolon. */
export function formatIndex(index: IndexSchema, table: TableSchema | undefined): string {
  const tokens = tokenize(index.sql);
  const on = tokens.findIndex((token) => is(token, "on"));
  const names = tokens.filter((_, at) => at === on - 1 || at === on + 1);
  const known = table === undefined ? {} : { known: knownTo(table) };
  return layOut(spell(tokens, { names: new Set(names), ...known })).join("\n");
}

/** The `CREATE VIEW` of a view, one clause or column a line, without a semicolon. */
export function formatView({ sql }: ViewSchema): string {
  const tokens = keepUnnamed(sql, tokenize(sql));
  const as = tokens.findIndex((token) => is(token, "as"));
  const [header, query] = cut(spell(tokens, { names: new Set(tokens.slice(2, 3)) }), as + 1);
  return [...layOut(header), ...layOutStatement(query)].join("\n");
}

/** The `CREATE TRIGGER` of a trigger, one clause of each statement a line, without a semicolon. */
export function formatTrigger({ sql }: TriggerSchema): string {
  const tokens = keepUnnamed(sql, tokenize(sql));
  const on = tokens.findIndex((token) => is(token, "on"));
  // Between them are the columns of an UPDATE OF.
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

/** A trigger's `BEFORE`, `FOR EACH ROW` and the like in capitals; not a column of such a name. */
function withEventWords(pieces: readonly Piece[], on: number): Piece[] {
  const isTime = (at: number) =>
    at === 3 && ["before", "after", "instead"].includes(pieces[at]?.key ?? "") ||
    pieces[at]?.key === "of" && ["instead", "update"].includes(pieces[at - 1]?.key ?? "");
  const isEach = (at: number) => ["for", "each", "row"][at - on - 2] === pieces[at]?.key;
  return pieces.map((piece, at) =>
    (at < on && isTime(at)) || isEach(at) ? { ...piece, text: piece.text.toUpperCase() } : piece
  );
}

const STATEMENTS = ["select", "insert", "update", "delete", "replace", "with"];

function cut(pieces: readonly Piece[], at: number): [readonly Piece[], readonly Piece[]] {
  return [pieces.slice(0, at), pieces.slice(at)];
}

function statementsOf(pieces: readonly Piece[]): Piece[][] {
  const statements: Piece[][] = [[]];
  for (const piece of pieces) {
    if (piece.key === ";") statements.push([]);
    else statements.at(-1)?.push(piece);
  }
  return statements.filter((statement) => statement.length > 0);
}

/**
 * Rebuilding a table: parses and edits a `CREATE TABLE` statement.
 *
 * @module
 */
import { didYouMean } from "../base/format.ts";
import {
  fold,
  normalize,
  originalText,
  quoteName,
  type Token,
  tokenIs,
  tokenize,
} from "../sql/tokens.ts";
import { closingParenthesis, itemsOf } from "../sql/parentheses.ts";
import { isConstraint } from "./read.ts";

/**
 * How to change a table: either a complete new definition or changes to the existing one. Names are
 * compared as in SQLite, ignoring the case of ASCII letters.
 */
export interface RebuildOptions {
  /**
   * The complete new definition, `CREATE TABLE name (…)`, with the name of the table. Replaces
   * `changeColumns`, `addColumns`, `dropChecks` and `addChecks`. Default: the existing definition.
   */
  readonly create?: string;
  /** New definitions of columns, without the name: `{ quantity: "INTEGER NOT NULL CHECK (quantity >= 0)" }`. */
  readonly changeColumns?: Readonly<Record<string, string>>;
  /** New columns after the others, such as `{ note: "TEXT" }`. */
  readonly addColumns?: Readonly<Record<string, string>>;
  /** Checks to remove, by name, or by expression if unnamed. */
  readonly dropChecks?: readonly string[];
  /** New checks by name, such as `{ valid_quantity: "quantity >= 0" }`. */
  readonly addChecks?: Readonly<Record<string, string>>;
  /**
   * New names of columns by old name. SQLite renames them in indexes, triggers and views as well. The
   * other options use the new names.
   */
  readonly renames?: Readonly<Record<string, string>>;
  /**
   * Columns whose content is dropped. Without `create` they are removed from the definition; with it,
   * every column missing from the new definition must be named here.
   */
  readonly drops?: readonly string[];
  /** Values of columns: SQL expressions over the old columns, by column. Default: the old value. */
  readonly values?: Readonly<Record<string, string>>;
  /** Indexes that are not created again, for example because their columns are dropped. */
  readonly dropIndexes?: readonly string[];
}

/** The changes of a `CREATE TABLE`. */
type Edits = Pick<
  RebuildOptions,
  "drops" | "changeColumns" | "dropChecks" | "addColumns" | "addChecks"
>;

/** A parsed `CREATE TABLE` statement. */
interface Parts {
  readonly tokens: readonly Token[];
  /** Token of the table's name. */
  readonly name: Token;
  /** Token of the parenthesis that closes the list. */
  readonly close: Token;
  /** Column definitions and table constraints. */
  readonly items: readonly (readonly Token[])[];
}

const SHAPE = `give the complete statement: "CREATE TABLE name (...)"`;

/** Parses a `CREATE TABLE`; throws for any other text. */
function parse(sql: string): Parts {
  const tokens = tokenize(sql);
  while (tokenIs(tokens.at(-1), ";")) tokens.pop();
  let at = 1;
  if (!tokenIs(tokens[0], "create") || !tokenIs(tokens[at++], "table")) {
    throw new RebuildFault("its new definition is not a CREATE TABLE statement", SHAPE);
  }
  if (tokenIs(tokens[at], "if")) at += 3; // IF NOT EXISTS
  if (tokenIs(tokens[at + 1], ".")) at += 2;
  const name = tokens[at];
  if (name === undefined || !tokenIs(tokens[at + 1], "(")) {
    throw new RebuildFault("its new definition has no list of columns after its name", SHAPE);
  }
  const close = tokens[closingParenthesis(tokens, at + 1)];
  if (close === undefined || !tokenIs(close, ")") || tokens.some((token) => tokenIs(token, ";"))) {
    throw new RebuildFault("its new definition is not one complete statement", SHAPE);
  }
  return { tokens, name, close, items: itemsOf(tokens, at + 1) };
}

/** Name of the table that a `CREATE TABLE` creates. */
export function nameIn(sql: string): string {
  return spelled(parse(sql).name);
}

/** A name in its original spelling, without quotes. */
function spelled(token: Token): string {
  return token.kind === "word" ? token.text : token.value;
}

/**
 * The same `CREATE TABLE` with another name. Removes the table name before a column in a check, as in
 * `orders.quantity`, because it would no longer match.
 */
export function createUnder(sql: string, name: string): string {
  const { tokens, name: own } = parse(sql);
  let text = `CREATE TABLE ${quoteName(name)}`;
  let end = own.end;
  for (const [at, token] of tokens.entries()) {
    const next = tokens[at + 1];
    const isQualifier = token.start > own.end && token.kind !== "string" &&
      fold(token.value) === fold(own.value) && next !== undefined && tokenIs(next, ".");
    if (!isQualifier) continue;
    text += sql.slice(end, token.start);
    end = next.end;
  }
  return text + sql.slice(end, tokens.at(-1)?.end);
}

/** Applies the changes to the text and leaves the rest unchanged. */
export function editDefinition(sql: string, edits: Edits): string {
  let text = sql;
  for (const column of edits.drops ?? []) text = dropItem(text, indexOfColumn(text, column));
  for (const [column, definition] of Object.entries(edits.changeColumns ?? {})) {
    text = changeColumn(text, column, definition);
  }
  for (const check of edits.dropChecks ?? []) text = dropCheck(text, check);
  for (const [column, definition] of Object.entries(edits.addColumns ?? {})) {
    text = addColumn(text, `${quoteWhereNeeded(column)} ${whole(definition, column)}`.trimEnd());
  }
  for (const [name, expression] of Object.entries(edits.addChecks ?? {})) {
    const check = `CONSTRAINT ${quoteWhereNeeded(name)} CHECK (${whole(expression, name)})`;
    text = insertItem(text, parse(text).items.length, check);
  }
  return text;
}

function quoteWhereNeeded(name: string): string {
  return /^[a-z_][a-z0-9_]*$/i.test(name) ? name : quoteName(name);
}

function indexOfColumn(sql: string, column: string): number {
  const { items } = parse(sql);
  const names = items.map((item) =>
    item[0] === undefined || isConstraint(item) ? null : spelled(item[0])
  );
  const index = names.findIndex((name) => name !== null && fold(name) === fold(column));
  if (index === -1) throw noColumn(column, names.filter((name) => name !== null));
  return index;
}

/** The error for an unknown column. */
export function noColumn(column: string, names: readonly string[]): RebuildFault {
  return new RebuildFault(
    `it has no column "${column}"`,
    `${didYouMean(column, names)}its columns are ${names.join(", ")}`,
  );
}

/** A piece of SQL without surrounding comments; it must be complete in itself. */
function whole(piece: string, owner: string): string {
  const tokens = tokenize(piece);
  let depth = 0;
  for (const token of tokens) {
    if (tokenIs(token, "(")) depth++;
    if (tokenIs(token, ")")) depth--;
    if (depth < 0 || tokenIs(token, ";") || (depth === 0 && tokenIs(token, ","))) depth = -Infinity;
  }
  if (depth === 0) return originalText(piece, tokens);
  throw new RebuildFault(
    `the definition of "${owner}" is not one complete piece of SQL: ${piece}`,
    "give only the part after its name, with all parentheses closed",
  );
}

function changeColumn(sql: string, column: string, definition: string): string {
  const item = parse(sql).items[indexOfColumn(sql, column)] ?? [];
  const [name] = item;
  const piece = whole(definition, column);
  const gap = piece === "" ? "" : " ";
  return sql.slice(0, name?.end) + gap + piece + sql.slice(item.at(-1)?.end);
}

/** Removes an item with its comma and the comment after it on its line. */
function dropItem(sql: string, index: number): string {
  const { items, tokens, name: own } = parse(sql);
  const item = items[index] ?? [];
  const start = item[0]?.start ?? 0;
  const last = item.at(-1);
  if (items.length === 1) {
    throw new RebuildFault(
      "it would have no columns",
      "keep at least one column, or drop the table",
    );
  }
  if (index < items.length - 1) {
    const comma = tokens[tokens.indexOf(last ?? own) + 1];
    return sql.slice(0, start) + sql.slice(pastLine(sql, comma?.end));
  }
  const comma = tokens[tokens.indexOf(item[0] ?? own) - 1];
  const lead = sql.slice(comma?.end, start).trimEnd();
  const rest = sql.slice(pastComment(sql, last?.end));
  const gap = lead.includes("--") && !/^\r?\n/.test(rest) ? "\n" : "";
  return sql.slice(0, comma?.start) + lead + gap + rest;
}

/** Offset after a comment on the rest of a line, or after the line if it has nothing else. */
function pastLine(sql: string, from?: number): number {
  return skip(/[ \t]*(--[^\n]*)?(\n[ \t]*)?/y, sql, from);
}

/** Offset after a comment on the rest of a line. */
function pastComment(sql: string, from?: number): number {
  return skip(/([ \t]*--[^\n]*)?/y, sql, from);
}

function skip(trivia: RegExp, sql: string, from = 0): number {
  trivia.lastIndex = from;
  trivia.exec(sql);
  return trivia.lastIndex;
}

function addColumn(sql: string, column: string): string {
  const index = parse(sql).items.findIndex(isConstraint);
  return insertItem(sql, index === -1 ? parse(sql).items.length : index, column);
}

/** Inserts an item before the one at `index`, or after the last. */
function insertItem(sql: string, index: number, text: string): string {
  const { items, tokens, close } = parse(sql);
  const next = items[index]?.[0];
  if (next !== undefined) {
    const gap = gapBefore(sql, next);
    const comma = tokens[tokens.indexOf(next) - 1];
    const at = gap === " " ? comma?.end ?? 0 : pastComment(sql, comma?.end);
    return `${sql.slice(0, at)}${gap}${text},${sql.slice(at)}`;
  }
  const end = items.at(-1)?.at(-1)?.end;
  const between = sql.slice(end, close.start);
  const comments = between.trimEnd();
  const gap = gapBefore(sql, items.at(-1)?.[0]);
  // A comment after the last item is kept on its line.
  const lead = `${comments}${gap === " " && comments.includes("--") ? "\n" : gap}`;
  return `${sql.slice(0, end)},${lead}${text}${between.slice(comments.length)}` +
    sql.slice(close.start);
}

/** Line break and indentation before an item; one space if it shares a line with others. */
function gapBefore(sql: string, token: Token | undefined): string {
  const line = sql.lastIndexOf("\n", token?.start);
  const indent = sql.slice(line + 1, token?.start);
  return line !== -1 && indent.trim() === "" ? `\n${indent}` : " ";
}

/** A check in the text, from its first token to its last. */
interface FoundCheck {
  readonly item: number;
  readonly first: Token;
  readonly last: Token;
  readonly name: string | null;
  readonly expression: string;
  /** Whether a line comment precedes it, which needs a line break. */
  readonly hasComment: boolean;
  /** Whether the item contains nothing else. */
  readonly isWhole: boolean;
}

function dropCheck(sql: string, wanted: string): string {
  const checks = checksOf(sql);
  const found = checks.find(({ name }) => name !== null && fold(name) === fold(wanted)) ??
    checks.find(({ expression }) => normalize(expression) === normalize(wanted));
  if (found === undefined) {
    const all = checks.map(({ name, expression }) => name ?? expression);
    throw new RebuildFault(
      `it has no check "${wanted}"`,
      didYouMean(wanted, all) +
        (all.length === 0 ? "it has no checks" : `its checks are ${all.join("; ")}`),
    );
  }
  if (found.isWhole) return dropItem(sql, found.item);
  const before = sql.slice(0, found.first.start);
  const kept = found.hasComment ? before : before.trimEnd();
  return kept + sql.slice(found.last.end);
}

function checksOf(sql: string): FoundCheck[] {
  return parse(sql).items.flatMap((item, index) => {
    const found: FoundCheck[] = [];
    for (let at = isConstraint(item) ? 0 : 1; at < item.length; at++) {
      const open = item[at + 1];
      if (tokenIs(item[at], "(")) at = closingParenthesis(item, at);
      else if (tokenIs(item[at], "check") && open !== undefined && tokenIs(open, "(")) {
        const end = closingParenthesis(item, at + 1);
        const isNamed = tokenIs(item[at - 2], "constraint");
        const first = item[isNamed ? at - 2 : at] ?? open;
        const until = tokenIs(item[end + 1], "on") && tokenIs(item[end + 2], "conflict")
          ? end + 3
          : end;
        const last = item[until] ?? open;
        found.push({
          item: index,
          first,
          last,
          name: isNamed ? spelled(item[at - 1] ?? first) : null,
          expression: originalText(sql, item.slice(at + 2, end)),
          hasComment: sql.slice(item[item.indexOf(first) - 1]?.end ?? first.start, first.start)
            .includes("--"),
          isWhole: first === item[0] && last === item.at(-1),
        });
        at = until;
      }
    }
    return found;
  });
}

/** Why a table cannot be rebuilt; the caller adds the name of the table. */
export class RebuildFault extends Error {
  /** What to do next. */
  readonly help: string;

  constructor(reason: string, help: string) {
    super(reason);
    this.name = "RebuildFault";
    this.help = help;
  }
}

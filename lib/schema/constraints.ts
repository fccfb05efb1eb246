import type { CheckSchema } from "./model.ts";
import { closing, fold, is, itemsOf, render, source, type Token, tokenize } from "../sql/tokens.ts";

/** What a `CREATE TABLE` says and SQLite's pragmas don't. Columns are named in small letters. */
export interface TableText {
  readonly checks: readonly CheckSchema[];
  /** Collations in capitals, by column. */
  readonly collations: ReadonlyMap<string, string>;
  /** Expressions of generated columns, by column. */
  readonly generated: ReadonlyMap<string, string>;
  /** Whether each foreign key is checked at commit, in the order of the text. */
  readonly deferred: readonly boolean[];
  /** Each unusual `ON CONFLICT`, such as `NOT NULL (side): REPLACE`. */
  readonly conflicts: readonly string[];
  readonly autoincrement: boolean;
  readonly withoutRowid: boolean;
  readonly strict: boolean;
}

/** What a `CREATE INDEX` says and SQLite's pragmas don't. */
export interface IndexText {
  /** Text of each term, without direction and collation. */
  readonly terms: readonly string[];
  /** Condition of a partial index; null where there is none. */
  readonly where: string | null;
}

/** Reads a `CREATE TABLE` statement that SQLite has accepted. */
export function readTableText(sql: string): TableText {
  const tokens = tokenize(sql);
  const open = tokens.findIndex((token) => is(token, "("));
  const reader = new ConstraintReader(sql);
  if (open !== -1) { for (const item of itemsOf(tokens, open)) reader.read(item); }
  const options = open === -1 ? [] : tokens.slice(closing(tokens, open) + 1);
  return {
    ...reader.found,
    autoincrement: tokens.some((token) => is(token, "autoincrement")),
    withoutRowid: options.some((token) => is(token, "without")),
    strict: options.some((token) => is(token, "strict")),
  };
}

/** Reads a `CREATE INDEX` statement that SQLite has accepted. */
export function readIndexText(sql: string): IndexText {
  const tokens = tokenize(sql);
  const on = tokens.findIndex((token) => is(token, "on"));
  const open = tokens.findIndex((token, at) => at > on && is(token, "("));
  const rest = tokens.slice(closing(tokens, open) + 1);
  return {
    terms: itemsOf(tokens, open).map((item) => source(sql, withoutOrder(item))),
    where: is(rest[0], "where") ? source(sql, rest.slice(1)) : null,
  };
}

function withoutOrder(term: readonly Token[]): readonly Token[] {
  const unordered = is(term.at(-1), "asc", "desc") ? term.slice(0, -1) : term;
  return is(unordered.at(-2), "collate") ? unordered.slice(0, -2) : unordered;
}

/** Collects the constraints of one table, one definition of a column or of constraints at a time. */
class ConstraintReader {
  readonly #sql: string;
  readonly found = {
    checks: [] as CheckSchema[],
    collations: new Map<string, string>(),
    generated: new Map<string, string>(),
    deferred: [] as boolean[],
    conflicts: [] as string[],
  };

  constructor(sql: string) {
    this.#sql = sql;
  }

  read(item: readonly Token[]): void {
    const ofTable = is(item[0], "constraint", "primary", "unique", "check", "foreign");
    const column = ofTable ? "" : fold(item[0]?.value ?? "");
    let name: string | null = null;
    let rule = "";
    let columns = column;
    for (let at = ofTable ? 0 : 1; at < item.length; at++) {
      const token = item[at];
      const next = item[at + 1];
      if (is(token, "(")) {
        const end = closing(item, at);
        if (ofTable && is(item[at - 1], "key", "unique")) {
          columns = render(item.slice(at + 1, end)).replaceAll(" ,", ",");
        }
        at = end;
      } else if (is(token, "constraint") && next !== undefined) {
        name = next.value;
        at++;
      } else if (is(token, "check", "as") && is(next, "(")) {
        const end = closing(item, at + 1);
        const expression = source(this.#sql, item.slice(at + 2, end));
        if (is(token, "check")) this.found.checks.push({ name, expression });
        else this.found.generated.set(column, expression);
        name = null;
        rule = "";
        at = end;
      } else if (is(token, "collate") && next !== undefined) {
        this.found.collations.set(column, next.value.toUpperCase());
        at++;
      } else if (is(token, "not") && is(next, "null")) {
        rule = "NOT NULL";
        name = null;
      } else if (is(token, "unique", "primary")) {
        rule = is(token, "unique") ? "UNIQUE" : "PRIMARY KEY";
        name = null;
      } else if (is(token, "references")) {
        this.found.deferred.push(false);
        name = null;
      } else if (is(token, "deferrable")) {
        const deferred = !is(item[at - 1], "not") && is(next, "initially") &&
          is(item[at + 2], "deferred");
        if (deferred && this.found.deferred.length > 0) this.found.deferred.splice(-1, 1, true);
      } else if (is(token, "on") && is(next, "conflict")) {
        const action = item[at + 2]?.value.toUpperCase() ?? "";
        if (action !== "ABORT" && rule !== "") {
          this.found.conflicts.push(`${rule} (${columns}): ${action}`);
        }
      }
    }
  }
}

/**
 * Names the duplicate rows in the error of a statement that needs unique ones.
 *
 * @module
 */
import { StatementError } from "../base/errors.ts";
import { type Connection, number, text } from "../database/connection.ts";
import { driverMessage } from "../database/failure.ts";
import { fold, originalText, type Token, tokenIs, tokenize } from "../sql/tokens.ts";
import { closingParenthesis, itemsOf } from "../sql/parentheses.ts";
import { readColumns } from "./tables.ts";

/** Most characters shown of a value. */
const SHOWN = 60;

/** A query and the terms that must be unique in its rows. */
interface Question {
  /** The text after FROM. */
  readonly from: string;
  readonly terms: readonly string[];
  readonly labels: readonly string[];
  /** A leading `WITH`, and a `WHERE`; may be empty. */
  readonly before: string;
  readonly where: string;
}

/**
 * Adds a duplicate value to the error of a unique index or of copied rows. The rows must be as they were
 * when the statement failed.
 */
export async function withDuplicate(connection: Connection, error: unknown): Promise<unknown> {
  if (!(error instanceof StatementError) || error.statement === undefined) return error;
  const [, columns] = /^UNIQUE constraint failed: (.*)$/.exec(driverMessage(error)) ?? [];
  if (columns === undefined) return error;
  const question = await questionOf(connection, error.statement, columns);
  const found = question === null ? null : await firstDuplicate(connection, question);
  if (found === null) return error;
  return new StatementError(error.message, {
    cause: error.cause,
    statement: error.statement,
    ...error.line === undefined ? {} : { line: error.line },
    help: `${found}: change or delete the duplicates first`,
  });
}

async function questionOf(
  connection: Connection,
  statement: string,
  columns: string,
): Promise<Question | null> {
  const tokens = tokenize(statement);
  while (tokenIs(tokens.at(-1), ";")) tokens.pop();
  return tokenIs(tokens[0], "create")
    ? ofIndex(statement, tokens)
    : await ofInsert(connection, statement, { tokens, columns });
}

/** `CREATE UNIQUE INDEX i ON t (a, b DESC) WHERE c`. */
function ofIndex(sql: string, tokens: readonly Token[]): Question | null {
  const on = tokens.findIndex((token) => tokenIs(token, "on"));
  const table = tokens[on + 1];
  if (on === -1 || table === undefined || !tokenIs(tokens[on + 2], "(")) return null;
  const terms = itemsOf(tokens, on + 2).map((item) =>
    originalText(sql, tokenIs(item.at(-1), "asc", "desc") ? item.slice(0, -1) : item)
  );
  const rest = tokens.slice(closingParenthesis(tokens, on + 2) + 1);
  return {
    before: "",
    from: `main.${table.text}`,
    terms,
    labels: terms,
    where: originalText(sql, rest),
  };
}

/** `INSERT INTO t (a, b) SELECT ...`, for which SQLite reports `t.a`. */
async function ofInsert(
  connection: Connection,
  sql: string,
  { tokens, columns }: { readonly tokens: readonly Token[]; readonly columns: string },
): Promise<Question | null> {
  const into = tokens.findIndex((token) => tokenIs(token, "into"));
  const isNamed = tokenIs(tokens[into + 2], ".");
  const table = tokens[into + (isNamed ? 3 : 1)];
  let at = into + (isNamed ? 4 : 2);
  if (into === -1 || table === undefined) return null;
  let names: string[];
  if (tokenIs(tokens[at], "(")) {
    names = itemsOf(tokens, at).map(([name]) => name?.value ?? "");
    at = closingParenthesis(tokens, at) + 1;
  } else {
    const all = await readColumns(connection, table.value, { schema: null });
    names = all.filter(({ kind }) => kind === "ordinary").map(({ name }) => name);
  }
  if (!tokenIs(tokens[at], "select", "with", "values")) return null;
  const labels = columns.split(", ").map((name) => name.slice(name.lastIndexOf(".") + 1));
  const terms = labels.map((label) => {
    const index = names.findIndex((name) => fold(name) === fold(label));
    return index === -1 ? "" : `c${index}`;
  });
  if (terms.includes("")) return null;
  const list = names.map((_, index) => `c${index}`).join(", ");
  return {
    before: `WITH copied (${list}) AS (${originalText(sql, tokens.slice(at))})`,
    from: "copied",
    terms,
    labels,
    where: "",
  };
}

async function firstDuplicate(
  connection: Connection,
  { before, from, terms, labels, where }: Question,
): Promise<string | null> {
  const conditions = [
    ...where === "" ? [] : [where.replace(/^where\b/i, "").trim()],
    ...terms.map((term) => `${term} IS NOT NULL`),
  ].map((condition) => `(${condition})`).join(" AND ");
  try {
    const row = await connection.get(
      `${before} SELECT count(*) AS rows, ${
        terms.map((term, index) => `quote(${term}) AS v${index}`).join(", ")
      } FROM ${from} WHERE ${conditions}
      GROUP BY ${terms.join(", ")} HAVING count(*) > 1 ORDER BY count(*) DESC LIMIT 1`,
    );
    if (row === undefined) return null;
    const values = labels.map((label, index) => {
      const value = text(row, `v${index}`);
      return `${label} = ${value.length > SHOWN ? `${value.slice(0, SHOWN)}...` : value}`;
    });
    return `${number(row, "rows")} rows have ${values.join(" and ")}`;
  } catch {
    return null; // report the original error
  }
}

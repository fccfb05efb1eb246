import { StatementError } from "../base/errors.ts";
import { type Connection, text } from "../database/connection.ts";
import { driverMessage, needsExtension } from "../database/failure.ts";
import { fold, quoteName, type Token, tokenIs, tokenize } from "../sql/tokens.ts";
import { primaryKeyOf } from "./model.ts";
import { readColumns } from "./tables.ts";

/** What reads a database: a connection, or the transaction of a migration. */
type Reader = Pick<Connection, "all">;

/**
 * Views, triggers and foreign keys that do not work, with SQLite's errors.
 *
 * @param among Folded names. Only views, and triggers and foreign keys of tables, with these names are
 * checked. Default: all.
 */
export async function brokenObjects(
  connection: Reader,
  among?: ReadonlySet<string>,
): Promise<Map<string, string>> {
  const broken = await brokenViewsAndTriggers(connection, among);
  const keys = await connection.all(
    `SELECT child.name AS child, key.id AS id, key."table" AS parent, there.name AS found,
      json_group_array(lower(key."to")) AS columns
    FROM main.sqlite_schema AS child, pragma_foreign_key_list(child.name) AS key
      LEFT JOIN main.sqlite_schema AS there
      ON there.type = 'table' AND there.name = key."table" COLLATE NOCASE
    WHERE child.type = 'table'
    GROUP BY child.name, key.id`,
  );
  for (const row of keys.filter((row) => among?.has(fold(text(row, "child"))) ?? true)) {
    const parent = text(row, "parent");
    const columns: (string | null)[] = JSON.parse(text(row, "columns"));
    const isThere = row["found"] !== null;
    if (isThere && await isUnique(connection, parent, columns)) continue;
    const names = columns.some((name) => name === null) ? "" : `(${columns.join(", ")}) `;
    broken.set(
      `a foreign key of "${text(row, "child")}"`,
      isThere ? `${names}is no unique key of "${parent}"` : `table "${parent}" is missing`,
    );
  }
  return broken;
}

/** Views and triggers that do not work, with SQLite's errors; see {@link brokenObjects}. */
export async function brokenViewsAndTriggers(
  connection: Reader,
  among?: ReadonlySet<string>,
): Promise<Map<string, string>> {
  const broken = new Map<string, string>();
  const objects = await connection.all(
    `SELECT type, name, tbl_name, sql FROM main.sqlite_schema
    WHERE type IN ('view', 'trigger') ORDER BY type DESC, rowid`,
  );
  for (const row of objects) {
    const [name, table] = [text(row, "name"), text(row, "tbl_name")];
    if (among !== undefined && !among.has(fold(name)) && !among.has(fold(table))) continue;
    const tokens = row["type"] === "view" ? [] : tokenize(text(row, "sql"));
    const event = tokens[eventOf(tokens)]?.value;
    const object = event === undefined
      ? `view "${name}"`
      : `${event === "delete" ? "a" : "an"} ${event.toUpperCase()} trigger of "${table}"`;
    // SQLite compiles all triggers of an event together, and does not say which one fails.
    if (broken.has(object)) continue;
    try {
      const sql = event === undefined
        ? `SELECT * FROM main.${quoteName(name)}`
        : await firing(connection, table, event);
      // Reading all rows of a plain EXPLAIN, which shows the program, can crash Deno's SQLite.
      await connection.all(`EXPLAIN QUERY PLAN ${sql}`);
    } catch (error) {
      if (!(error instanceof StatementError)) throw error;
      if (needsExtension(error)) continue;
      broken.set(object, driverMessage(error));
    }
  }
  return broken;
}

/**
 * A statement that fires the triggers of an event: SQLite compiles them only together with one. The
 * statement is never run; its WHERE clause only keeps it from looking like a change of all rows.
 */
async function firing(connection: Reader, table: string, event: string): Promise<string> {
  const target = `main.${quoteName(table)}`;
  if (event === "insert") return `INSERT INTO ${target} DEFAULT VALUES`;
  const columns = (await readColumns(connection, table))
    .filter(({ kind }) => kind === "ordinary").map(({ name }) => quoteName(name));
  const where = `WHERE ${columns[0] ?? "NULL"} IS NULL`;
  if (event === "delete") return `DELETE FROM ${target} ${where}`;
  const sets = columns.map((name) => `${name} = ${name}`).join(", ");
  return `UPDATE ${target} SET ${sets || "nix = 0"} ${where}`;
}

/** Index of a trigger's event. The trigger's name before it can be such a word only in quotes. */
export function eventOf(tokens: readonly Token[]): number {
  return tokens.findIndex((token) => tokenIs(token, "insert", "update", "delete"));
}

/** Whether columns in small letters are the primary key of a table or unique in it; null stands for the key. */
async function isUnique(
  connection: Reader,
  table: string,
  columns: readonly (string | null)[],
): Promise<boolean> {
  const key = primaryKeyOf({ columns: await readColumns(connection, table) }).map(fold);
  if (columns.includes(null)) return key.length === columns.length;
  const indexes = await connection.all(
    `SELECT (SELECT json_group_array(lower(name)) FROM pragma_index_info(list.name, 'main')) AS columns
    FROM pragma_index_list(?, 'main') AS list WHERE list."unique" AND NOT list.partial`,
    [table],
  );
  const keys: (string | null)[][] = [
    key,
    ...indexes.map((row) => JSON.parse(text(row, "columns"))),
  ];
  const wanted = JSON.stringify(columns.toSorted());
  return keys.some((names) => JSON.stringify(names.toSorted()) === wanted);
}

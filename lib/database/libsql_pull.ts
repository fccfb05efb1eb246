import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { isVirtualTable, quoteName, quoteText, rowIdName } from "../sql/tokens.ts";
import { translate } from "./failure.ts";
import { LENIENT } from "./node_sqlite.ts";
import { isTooLarge } from "./libsql_failure.ts";
import {
  type Connection,
  type CopyOptions,
  number,
  type Row,
  type SqlValue,
  text,
} from "./connection.ts";
import { withSnapshot } from "./transaction.ts";

/** A connection to a server that distinguishes integers from reals. */
interface ServerConnection extends Connection {
  /** Reads the rows of one statement as lists, with every integer as `bigint`. */
  values(sql: string, parameters?: readonly SqlValue[]): Promise<SqlValue[][]>;
}

/** Rows read at once: the first number and the maximum. */
const FIRST_PAGE = 500;
const MOST_ROWS = 4000;

/**
 * Copies a database on a server into a new local file: the schema, every row with its row id and its
 * exact values, `AUTOINCREMENT` sequences and `user_version`. The copy is consistent.
 */
export async function pull(
  source: ServerConnection,
  path: string,
  options: CopyOptions = {},
): Promise<void> {
  await withSnapshot(source, async () => {
    const target = openTarget(source, path);
    try {
      await fill(source, target, options);
    } finally {
      target.close();
    }
  });
}

interface Target {
  exec(sql: string): void;
  prepare(sql: string): StatementSync;
  close(): void;
  /** Runs work on the file and translates its errors. */
  attempt<T>(work: () => T): T;
}

function openTarget({ label }: ServerConnection, path: string): Target {
  const attempt = <T>(work: () => T, statement?: string): T => {
    try {
      return work();
    } catch (error) {
      const context = { verb: "copy", label, target: path };
      throw translate(error, statement === undefined ? context : { ...context, statement });
    }
  };
  // Defensive mode would refuse the entries of virtual tables.
  const db = attempt(() => new DatabaseSync(path, { ...LENIENT, defensive: false }));
  return {
    exec: (sql) => attempt(() => db.exec(sql), sql),
    prepare: (sql) => attempt(() => db.prepare(sql), sql),
    close: () => db.close(),
    attempt,
  };
}

interface SchemaObject {
  readonly type: string;
  readonly name: string;
  readonly sql: string;
}

async function fill(
  source: ServerConnection,
  target: Target,
  { onProgress, hasRows = () => true }: CopyOptions,
): Promise<void> {
  const { objects, hasSequences } = await readObjects(source);
  const pageSize = number(await first(source, "PRAGMA page_size"), "page_size");
  const version = number(await first(source, "PRAGMA user_version"), "user_version");
  // No other process sees the file before it is complete, so it needs no protection against a crash.
  target.exec(
    `PRAGMA page_size = ${pageSize};
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA foreign_keys = OFF;
    BEGIN;
    PRAGMA user_version = ${version};`,
  );
  const tables = objects.filter(({ type, sql }) => type === "table" && !isVirtualTable(sql));
  const total = onProgress === undefined
    ? 0
    : await countAll(source, tables.filter(({ name }) => hasRows(name)));
  let done = 0;
  for (const { name, sql } of tables) {
    target.exec(sql);
    if (!hasRows(name)) continue;
    await copyRows(source, target, {
      name,
      onRows: (rows) => {
        done += rows;
        onProgress?.({ done: Math.min(done, total), total });
      },
    });
  }
  if (hasSequences) {
    target.exec("DELETE FROM sqlite_sequence");
    await copyRows(source, target, { name: "sqlite_sequence" });
  }
  createVirtual(target, objects.filter(({ sql }) => isVirtualTable(sql)));
  for (const { type, sql } of objects) if (type !== "table") target.exec(sql);
  target.exec("COMMIT; PRAGMA journal_mode = WAL;");
}

async function readObjects(
  source: ServerConnection,
): Promise<{ readonly objects: readonly SchemaObject[]; readonly hasSequences: boolean }> {
  const rows = await source.all(
    `SELECT type, CAST(name AS BLOB) AS name, sql
    FROM sqlite_schema
    WHERE sql IS NOT NULL
    ORDER BY rowid`,
  );
  const all = rows.map((row) => ({
    type: text(row, "type"),
    name: nameOf(row),
    sql: text(row, "sql"),
  }));
  return {
    objects: all.filter(({ name }) => !/^sqlite_/i.test(name)),
    hasSequences: all.some(({ name }) => name === "sqlite_sequence"),
  };
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Decodes a name read as bytes, because the client removes a leading U+FEFF from text. */
function nameOf({ name }: Row): string {
  return name instanceof Uint8Array ? decoder.decode(name) : "";
}

async function countAll(
  source: ServerConnection,
  tables: readonly SchemaObject[],
): Promise<number> {
  let total = 0;
  for (const { name } of tables) {
    total += number(await first(source, `SELECT count(*) AS n FROM ${quoteName(name)}`), "n");
  }
  return total;
}

async function first(source: ServerConnection, sql: string): Promise<Row> {
  return await source.get(sql) ?? {};
}

interface TableJob {
  readonly name: string;
  readonly onRows?: (rows: number) => void;
}

async function copyRows(source: ServerConnection, target: Target, job: TableJob): Promise<void> {
  const { columns, key } = await readShape(source, job.name);
  const names = key === null || columns.includes(key) ? columns : [key, ...columns];
  if (names.length === 0) return;
  const table = quoteName(job.name);
  // Text is read as bytes: a server drops the connection if a text is not valid UTF-8.
  const selected = names.map((name) => {
    const column = quoteName(name);
    return `CASE typeof(${column}) WHEN 'text' THEN CAST(${column} AS BLOB) ELSE ${column} END`;
  });
  const types = names.map((name) => `substr(typeof(${quoteName(name)}), 1, 1)`).join(" || ");
  const values = names.map((_, index) =>
    `iif(substr(?1, ${index + 1}, 1) = 't', CAST(?${index + 2} AS TEXT), ?${index + 2})`
  );
  const insert = target.prepare(
    `INSERT INTO ${table} (${names.map(quoteName).join(", ")}) VALUES (${values.join(", ")})`,
  );
  const from = `SELECT ${types}, ${selected.join(", ")} FROM ${table}`;
  const pages = key === null
    ? pagesByOffset(source, from)
    : pagesByKey(source, { from, key, at: names.indexOf(key) + 1 });
  for await (const rows of pages) {
    target.attempt(() => {
      for (const row of rows) insert.run(...row as SQLInputValue[]);
    });
    job.onRows?.(rows.length);
  }
}

/** The stored columns, and the name of the row id; null if there is none. */
async function readShape(
  source: ServerConnection,
  table: string,
): Promise<{ readonly columns: readonly string[]; readonly key: string | null }> {
  const listed = await first(
    source,
    `SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ${quoteText(table)}`,
  );
  // As bytes, which `readColumns` of lib/schema does not need: see `nameOf`.
  const all = await source.all(
    "SELECT CAST(name AS BLOB) AS name, hidden FROM pragma_table_xinfo(?) ORDER BY cid",
    [table],
  );
  const columns = all.filter((row) => row["hidden"] === 0).map(nameOf);
  return { columns, key: listed["wr"] === 0 ? rowIdName(all.map(nameOf)) : null };
}

type Page = readonly (readonly SqlValue[])[];

/** Reads in row id order; the next page is requested while this one is used. */
async function* pagesByKey(
  source: ServerConnection,
  { from, key, at }: { readonly from: string; readonly key: string; readonly at: number },
): AsyncGenerator<Page> {
  const column = quoteName(key);
  let size = FIRST_PAGE;
  const read = async (after: SqlValue): Promise<Page> => {
    const rows = await shrinking(source, {
      sql: (limit) =>
        `${from} NOT INDEXED WHERE ${column} ${
          after === null ? ">= -9223372036854775808" : "> ?"
        } ` +
        `ORDER BY ${column} LIMIT ${limit}`,
      parameters: after === null ? [] : [after],
      size,
    });
    size = Math.min(rows.size * 2, MOST_ROWS);
    return rows.page;
  };
  for (let page = await read(null); page.length > 0;) {
    const next = read(page.at(-1)?.[at] ?? null);
    next.catch(() => {}); // rethrown when this page is awaited
    yield page;
    page = await next;
  }
}

async function* pagesByOffset(source: ServerConnection, from: string): AsyncGenerator<Page> {
  let size = FIRST_PAGE;
  for (let offset = 0;;) {
    const at = offset;
    const rows = await shrinking(source, {
      sql: (limit) => `${from} LIMIT ${limit} OFFSET ${at}`,
      parameters: [],
      size,
    });
    if (rows.page.length === 0) return;
    yield rows.page;
    offset += rows.page.length;
    size = Math.min(rows.size * 2, MOST_ROWS);
  }
}

interface PageRequest {
  readonly sql: (limit: number) => string;
  readonly parameters: readonly SqlValue[];
  readonly size: number;
}

/** Reads a page, with fewer rows if the result is too large for the server. */
async function shrinking(
  source: ServerConnection,
  { sql, parameters, size }: PageRequest,
): Promise<{ readonly page: Page; readonly size: number }> {
  for (let limit = size;; limit = Math.ceil(limit / 8)) {
    try {
      return { page: await source.values(sql(limit), parameters), size: limit };
    } catch (error) {
      if (!isTooLarge(error) || limit === 1) throw error;
    }
  }
}

/**
 * Writes the entries of virtual tables into the schema, as SQLite's shell does. Their shadow tables
 * have already been copied.
 */
function createVirtual(target: Target, tables: readonly SchemaObject[]): void {
  if (tables.length === 0) return;
  target.exec("PRAGMA writable_schema = ON");
  for (const { name, sql } of tables) {
    target.attempt(() =>
      target.prepare(
        "INSERT INTO sqlite_schema (type, name, tbl_name, rootpage, sql) VALUES ('table', ?1, ?1, 0, ?2)",
      ).run(name, sql)
    );
  }
  // The schema is read again, so that views and triggers find these tables.
  target.exec("PRAGMA writable_schema = RESET");
}

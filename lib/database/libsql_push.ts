import { DatabaseSync } from "node:sqlite";
import { StatementError } from "../base/errors.ts";
import { isVirtualTable, quoteName, quoteText, rowIdName } from "../sql/tokens.ts";
import type { CopyOptions, CopyProgress, SqlValue } from "./connection.ts";
import { translate } from "./failure.ts";
import { LENIENT } from "./node_sqlite.ts";
import type { LibsqlConnection } from "./libsql.ts";
import { LARGEST_ROW } from "./libsql_failure.ts";

/** Length of SQL in characters after which rows are sent. */
const STATEMENT_LENGTH = 64_000;

/** Size of a row in bytes above which its values are sent as parameters instead of SQL. */
const LARGE_ROW = 100_000;

/** Statements in flight at once, so that the server does not wait for the client. */
const AHEAD = 3;

/**
 * Writes a local file into an empty database on a server: the schema, every row with its row id and
 * its exact values, `AUTOINCREMENT` sequences and `user_version`. Runs in the caller's transaction with
 * foreign keys off. No process may write to the file during the copy.
 */
export async function push(
  path: string,
  target: LibsqlConnection,
  options: CopyOptions = {},
): Promise<void> {
  using source = openSource(path);
  try {
    await send(source, target, options);
  } catch (error) {
    throw translate(error, { verb: "copy", label: path, target: target.label });
  }
}

type Source = DatabaseSync & Disposable;

function openSource(path: string): Source {
  try {
    return new DatabaseSync(path, { ...LENIENT, readOnly: true });
  } catch (error) {
    throw translate(error, { verb: "copy", label: path });
  }
}

interface SchemaObject {
  readonly type: string;
  readonly name: string;
  readonly sql: string;
}

async function send(
  source: Source,
  target: LibsqlConnection,
  { onProgress }: CopyOptions,
): Promise<void> {
  const encoding = String(pragma(source, "encoding"));
  refuseApplicationId(source, target);
  const objects = source.prepare(
    `SELECT type, name, sql
    FROM sqlite_schema
    WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
    ORDER BY rowid`,
  ).all().map(({ type, name, sql }): SchemaObject => ({
    type: String(type),
    name: String(name),
    sql: String(sql),
  }));
  const tables = objects.filter(({ type }) => type === "table");
  const shadows = new Set(
    source.prepare("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow'")
      .all().map(({ name }) => String(name)),
  );
  const onRows = onProgress && countRowsOf(source, tables, onProgress);
  const writer = new Writer(target, encoding);
  for (const { name, sql } of tables) {
    if (!shadows.has(name)) await target.run(sql);
    if (!isVirtualTable(sql) && !shadows.has(name)) await writer.copy(source, name, onRows);
  }
  // Virtual tables created these shadow tables with initial rows.
  for (const name of shadows) {
    await target.run(`DELETE FROM ${quoteName(name)}`);
    await writer.copy(source, name, onRows);
  }
  if (source.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'").get()) {
    await target.run("DELETE FROM sqlite_sequence");
    await writer.copy(source, "sqlite_sequence");
  }
  for (const { type, sql } of objects) if (type !== "table") await target.run(sql);
  await target.run(`PRAGMA user_version = ${pragma(source, "user_version")}`);
}

function pragma(source: Source, name: string): unknown {
  return source.prepare(`PRAGMA ${name}`).get()?.[name];
}

/** A server refuses to set the application id, and a copy without it would not be exact. */
function refuseApplicationId(source: Source, { label }: LibsqlConnection): void {
  const id = pragma(source, "application_id");
  if (id === 0) return;
  throw new StatementError(
    `Cannot copy a database to ${label}: it has application_id ${id}, which a server does not store`,
    { help: "keep this database local, or set PRAGMA application_id = 0 in a copy of the file" },
  );
}

/** Called with the number of rows that were just written. */
type OnRows = (rows: number) => void;

/** Returns a function that counts copied rows and reports the share of all. */
function countRowsOf(
  source: Source,
  tables: readonly SchemaObject[],
  report: (progress: CopyProgress) => void,
): OnRows {
  const total = tables.filter(({ sql }) => !isVirtualTable(sql)).reduce((sum, { name }) => {
    const row = source.prepare(`SELECT count(*) AS n FROM ${quoteName(name)}`).get();
    return sum + Number(row?.["n"] ?? 0);
  }, 0);
  let done = 0;
  return (rows) => {
    done += rows;
    report({ done: Math.min(done, total), total });
  };
}

/** Writes rows to a server, with a few statements in flight at once. */
class Writer {
  readonly #target: LibsqlConnection;
  readonly #decoder: TextDecoder;
  readonly #isUtf8: boolean;
  readonly #sent: Promise<unknown>[] = [];

  constructor(target: LibsqlConnection, encoding: string) {
    this.#target = target;
    this.#isUtf8 = encoding === "UTF-8";
    this.#decoder = new TextDecoder(encoding, { fatal: true, ignoreBOM: true });
  }

  async copy(source: Source, table: string, onRows?: OnRows): Promise<void> {
    const columns = columnsOf(source, table).map(quoteName);
    if (columns.length === 0) return;
    const into = `INSERT INTO ${quoteName(table)} (${columns.join(", ")}) VALUES `;
    const from = `FROM ${quoteName(table)} LIMIT -1 OFFSET ?`;
    // Deno reads text only up to a NUL and replaces invalid characters. Such text is read as bytes.
    const nul = columns.map((one) => `(typeof(${one}) = 'text' AND instr(${one}, char(0)))`);
    const plain = `SELECT ${nul.join(" OR ")}, ${columns.join(", ")} ${from}`;
    const types = columns.map((one) => `substr(typeof(${one}), 1, 1)`);
    const bytes = columns.map((one) =>
      `CASE typeof(${one}) WHEN 'text' THEN CAST(${one} AS BLOB) ELSE ${one} END`
    );
    const exact = `SELECT ${types.join(" || ")}, ${bytes.join(", ")} ${from}`;
    const done = this.#isUtf8 ? await this.#rows(source, { sql: plain, into, onRows }) : 0;
    if (done !== null) await this.#rows(source, { sql: exact, into, onRows, done });
    await Promise.all(this.#sent.splice(0));
  }

  /** Writes rows. Returns their number if the next one must be read as bytes, null at the end. */
  async #rows(
    source: Source,
    { sql, into, onRows, done = 0 }: {
      readonly sql: string;
      readonly into: string;
      readonly onRows: OnRows | undefined;
      readonly done?: number;
    },
  ): Promise<number | null> {
    const statement = source.prepare(sql);
    statement.setReturnArrays(true);
    statement.setReadBigInts(true);
    let text = "";
    let rows = 0;
    const flush = async (): Promise<void> => {
      if (text !== "") await this.#send(text);
      text = "";
      onRows?.(rows);
      done += rows;
      rows = 0;
    };
    // Rows are arrays, contrary to the types of `node:sqlite`.
    for (const row of statement.iterate(done) as Iterable<unknown> as Iterable<SqlValue[]>) {
      if (row[0] === 1n || row.some(mayBeReplaced)) {
        await flush();
        return done;
      }
      if (sizeOf(row) > LARGE_ROW || row.some(isHuge)) {
        await flush();
        await this.#send(...this.#asParameters(into, row));
      } else text += `${text === "" ? into : ","}${this.#asSql(row)}`;
      rows++;
      if (text.length >= STATEMENT_LENGTH) await flush();
    }
    await flush();
    return null;
  }

  async #send(sql: string, parameters: readonly SqlValue[] = []): Promise<void> {
    const sent = this.#target.run(sql, parameters);
    sent.catch(() => {}); // rethrown when it is awaited
    this.#sent.push(sent);
    if (this.#sent.length >= AHEAD) await this.#sent.shift();
  }

  #asSql(row: readonly SqlValue[]): string {
    const types = row[0];
    let sql = "(";
    for (let index = 1; index < row.length; index++) {
      const type = typeof types === "string" ? types[index - 1] : undefined;
      sql += `${index === 1 ? "" : ","}${this.#literal(type, row[index] ?? null)}`;
    }
    return `${sql})`;
  }

  #literal(type: string | undefined, value: SqlValue): string {
    if (typeof value === "string") return quoteText(value);
    if (typeof value === "number") return serverLiteral(value);
    if (!(value instanceof Uint8Array)) return String(value ?? "NULL");
    if (type !== "t") return `X'${value.toHex()}'`;
    const text = this.#text(value);
    return text === null || text.includes("\0")
      ? `CAST(X'${(text === null ? value : new TextEncoder().encode(text)).toHex()}' AS TEXT)`
      : quoteText(text);
  }

  #asParameters(into: string, row: readonly SqlValue[]): [string, SqlValue[]] {
    const types = row[0];
    const parameters: SqlValue[] = [];
    const values = row.slice(1).map((value, index) => {
      const isBytes = value instanceof Uint8Array;
      if (!isBytes && typeof value !== "string" && !isHuge(value)) {
        return this.#literal(undefined, value);
      }
      const isText = typeof types === "string" && types[index] === "t";
      parameters.push(isBytes && isText && !this.#isUtf8 ? this.#text(value) : value);
      return isText ? "CAST(? AS TEXT)" : "?";
    });
    return [`${into}(${values.join(",")})`, parameters];
  }

  /** The text; null if it is not valid UTF-8, which only a UTF-8 database can store unchanged. */
  #text(bytes: Uint8Array): string | null {
    try {
      return this.#decoder.decode(bytes);
    } catch (cause) {
      if (this.#isUtf8) return null;
      throw new StatementError(
        "it has text that is not valid UTF-16, which a server cannot store",
        {
          cause,
        },
      );
    }
  }
}

/** Whether a decoder may have replaced invalid UTF-8 in a value. */
function mayBeReplaced(value: SqlValue): boolean {
  return typeof value === "string" && value.includes("\uFFFD");
}

/** Whether a number is so large that the server's SQLite parses its digits as Infinity. */
function isHuge(value: SqlValue): boolean {
  return typeof value === "number" && Math.abs(value) > 1e300 && Number.isFinite(value);
}

/** Total size in bytes of the large values of a row. */
function sizeOf(row: readonly SqlValue[]): number {
  let size = 0;
  for (const value of row) {
    if (value instanceof Uint8Array || typeof value === "string") size += value.length;
  }
  if (size > LARGEST_ROW) {
    throw new StatementError(
      `a row of ${size} bytes is larger than the server stores (${LARGEST_ROW / 1e6} MB)`,
      { help: "keep such values in files, or keep this database local" },
    );
  }
  return size;
}

/**
 * Formats a real as SQL. The server's SQLite (3.45) parses some short decimals one bit off, such as
 * 0.0012467. With 19 digits its error is far below half a bit.
 */
function serverLiteral(value: number): string {
  if (value === 0) return Object.is(value, -0) ? "-0.0" : "0.0";
  if (!Number.isFinite(value)) return value < 0 ? "-9e999" : "9e999";
  if (Number.isSafeInteger(value)) return `${value}.0`;
  const text = value.toPrecision(19);
  return text.includes(".") || text.includes("e") ? text : `${text}.0`;
}

/** The stored columns, with the row id unless a primary key column already is the row id. */
function columnsOf(source: Source, table: string): string[] {
  const list = "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?";
  // Unlike `readColumns` of lib/schema, this needs no `Connection`: the source is one of the driver.
  const info = "SELECT name, hidden FROM pragma_table_xinfo(?) ORDER BY cid";
  const all = source.prepare(info).all(table);
  const columns = all.filter(({ hidden }) => hidden === 0).map(({ name }) => String(name));
  const key = source.prepare(list).get(table)?.["wr"] === 0
    ? rowIdName(all.map(({ name }) => String(name)))
    : null;
  return key === null ? columns : [key, ...columns];
}

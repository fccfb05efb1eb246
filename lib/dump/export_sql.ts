import type { Connection } from "../database/connection.ts";
import { fold, quoteName, quoteText, terminate } from "../sql/tokens.ts";
import { MARKER_TABLE } from "../migration/migration.ts";
import {
  type Catalog,
  type CatalogObject,
  columnList,
  type DumpColumn,
  type DumpTable,
  listTables,
  type ObjectKind,
  readSequences,
  readTable,
  virtualRows,
  whyUnreadable,
  withOnlyKey,
  withRowid,
} from "./catalog.ts";
import {
  type DumpContent,
  type DumpPart,
  hexParts,
  isDelicate,
  isDelicateReal,
  mayBeReplaced,
  notIntegers,
  type RowFormat,
  type Value,
} from "./export_rows.ts";

/** Rows of a `VALUES`: `(1,'a',NULL)`. */
export const sqlFormat: RowFormat = {
  separator: ",\n",
  // Calling a function takes longer than checking that it is not needed.
  textSql: (columns) =>
    textOfRow(columns, ({ name }) => {
      const column = quoteName(name);
      return `iif(${column} IS NULL, 'NULL', quote(${column}))`;
    }),
  inexactSql(columns) {
    return columns.flatMap(inexact).join(" OR ") || "0";
  },
  // The `sqlite3` shell drops a carriage return before a line break.
  isSuspect: (text) => mayBeReplaced(text) || text.includes("\r"),
  row: (values) => tuple(values, literal),
};

/** A row as a list in parentheses; `write` makes each value. */
export function* tuple(
  values: Iterable<Value>,
  write: (value: Value) => Iterable<string>,
): Generator<string> {
  let before = "(";
  for (const value of values) {
    yield before;
    yield* write(value);
    before = ",";
  }
  yield ")";
}

/**
 * SQL expression for the text of a row; `number` makes the one of a column that contains neither
 * texts nor integers.
 */
export function textOfRow(
  columns: readonly DumpColumn[],
  number: (column: DumpColumn) => string,
): string {
  const directives = columns.map(({ affinity }) => affinity === "TEXT" ? "%Q" : "%s");
  const values = columns.map((column) => {
    const name = quoteName(column.name);
    if (column.affinity === "TEXT") return name;
    return column.affinity === "INTEGER" ? `ifnull(${name}, 'NULL')` : number(column);
  });
  return `format('(${directives.join(",")})', ${values.join(", ")})`;
}

/**
 * Conditions for values that are rare in a column of this affinity, and for NUL, at which `%Q` and
 * Deno truncate a text. They avoid SQLite's allocator, whose lock stops other threads.
 */
function inexact({ name, affinity, isStrict }: DumpColumn): string[] {
  const column = quoteName(name);
  const hasNul = `instr(${column}, char(0))`;
  switch (affinity) {
    case "TEXT":
      // Every number is less than every text, and every text less than every blob.
      return isStrict ? [hasNul] : [`${column} >= x''`, hasNul];
    case "INTEGER":
      return isStrict ? [] : notIntegers(column);
    case "REAL":
    case "NUMERIC":
      return [isDelicateReal(column, affinity)];
    case "BLOB":
      return [`(typeof(${column}) = 'text' AND ${hasNul})`, isDelicateReal(column, affinity)];
  }
}

/** A value as an SQL literal, or as an expression if there is no literal for it. */
export function* literal(value: Value): Generator<string> {
  switch (value.type) {
    case "null":
      return yield "NULL";
    case "integer":
      return yield value.text;
    case "real":
      return yield isDelicate(value.number) ? realLiteral(value.number) : value.text;
    case "blob":
      yield "X'";
      yield* hexParts(value.bytes);
      return yield "'";
    case "text":
      if (value.text !== null) return yield textLiteral(value.text);
      yield "CAST(X'";
      yield* hexParts(value.bytes);
      yield "' AS TEXT)";
  }
}

/** Bits that a number is multiplied or divided by at once: the maximum of an integer. */
const STEP = 62;

/**
 * A number as SQL that every version of SQLite reads as exactly the same number: an integer,
 * multiplied or divided by powers of two, without rounding.
 */
export function realLiteral(number: number): string {
  if (number === 0) return Object.is(number, -0) ? "-0.0" : "0.0";
  const isLarge = Math.abs(number) > Number.MAX_SAFE_INTEGER;
  let whole = number;
  let power = 0;
  for (; !Number.isSafeInteger(whole); power++) whole *= isLarge ? 0.5 : 2;
  const sign = isLarge ? "*" : "/";
  let factors = "";
  for (let left = power; left > 0; left -= STEP) {
    factors += `${sign}${2n ** BigInt(Math.min(left, STEP))}`;
  }
  return `(1.0*${whole}${factors})`;
}

/** Text as SQL. NUL would end the SQL, and the `sqlite3` shell drops carriage returns. */
export function textLiteral(text: string): string {
  let literal = text.replaceAll("'", "''");
  const calls: string[] = [];
  for (const [character, code] of [["\0", 0], ["\r", 13]] as const) {
    if (!text.includes(character)) continue;
    const stand = standIn(text, code);
    literal = literal.replaceAll(character, stand);
    calls.push(`,'${stand}',char(${code}))`);
  }
  return `${"replace(".repeat(calls.length)}'${literal}'${calls.join("")}`;
}

/** A text that doesn't occur in another one. */
function standIn(text: string, code: number): string {
  for (let attempt = 0;; attempt++) {
    const candidate = `\\${code}.${attempt || ""}`;
    if (!text.includes(candidate)) return candidate;
  }
}

/** Options for the content of a dump. */
interface SqlPartsOptions {
  /** Name of the database, for the first line. */
  readonly database: string;
  readonly content: DumpContent;
  /** Only these tables, and what belongs to them; all if empty. */
  readonly tables: readonly string[];
  /** Whether rows violate a CHECK: a program that loads the dump must not check them. */
  readonly ignoresChecks: boolean;
  /** Called for what can't be written. */
  readonly onLeftOut: (leftOut: LeftOut) => void;
}

/** Something that a dump leaves out because something it needs is missing. */
export interface LeftOut {
  /** The table. */
  readonly name: string;
  /**
   * `table`: the virtual table itself, whose shadow tables are written; `rows`: the rows of the
   * table.
   */
  readonly what: "table" | "rows";
  /** Such as `no such module: vss0`. */
  readonly reason: string;
}

/**
 * The SQL text of a database, part by part. Loaded into a new database, it recreates the original.
 */
export async function* sqlParts(
  connection: Connection,
  catalog: Catalog,
  options: SqlPartsOptions,
): AsyncGenerator<DumpPart> {
  const { content } = options;
  const chosen = chosenObjects(catalog, options.tables);
  yield text(opening(catalog, options));
  const unreadable = await unreadableAmong(connection, chosen, options.onLeftOut);
  if (content === "data") yield* dataOnly(connection, catalog, { chosen, unreadable });
  else yield* schemaAndData(connection, catalog, { chosen, unreadable, content });
  if (options.ignoresChecks) yield text("PRAGMA ignore_check_constraints=OFF;\n");
  yield text("COMMIT;\n");
}

/** Comments in place of what can't be written, by name. */
async function unreadableAmong(
  connection: Connection,
  chosen: readonly CatalogObject[],
  onLeftOut: SqlPartsOptions["onLeftOut"],
): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const object of chosen) {
    const reason = await whyUnreadable(connection, object);
    if (reason === null) continue;
    const { kind, name, sql } = object;
    const what = kind === "virtual" ? "table" : "rows";
    onLeftOut({ name, what, reason });
    const comment = what === "table" ? `${reason}: ${sql}` : `${reason}: the rows of ${name}`;
    found.set(name, `-- left out, ${comment.replaceAll(/\s/g, " ")}\n`);
  }
  return found;
}

function chosenObjects({ objects }: Catalog, tables: readonly string[]): readonly CatalogObject[] {
  if (tables.length === 0) return objects;
  const names = new Set(tables.map(fold));
  const chosen = objects.filter(({ table }) => names.has(fold(table)));
  // A virtual table is useless without its shadow tables.
  const inner = of(chosen, "virtual").map(({ name }) => `${fold(name)}_`);
  const isInner = ({ kind, name }: CatalogObject) =>
    kind === "shadow" && inner.some((prefix) => fold(name).startsWith(prefix));
  return objects.filter((object) => chosen.includes(object) || isInner(object));
}

/**
 * The text before the first table. The newest `sqlite3` shells treat a script as a dump, and allow
 * what only a dump may do, if its first two lines are exactly these.
 */
function opening(
  catalog: Catalog,
  { database, content, ignoresChecks }: SqlPartsOptions,
): string {
  const lines = [
    "PRAGMA foreign_keys=OFF;",
    "BEGIN TRANSACTION;",
    `-- catalyst-migrate dump of ${database.replaceAll(/\s/g, " ")}; format 1`,
  ];
  if (content !== "data") {
    lines.push(`PRAGMA page_size = ${catalog.pageSize};`);
    lines.push(`PRAGMA encoding = '${catalog.encoding}';`);
    if (catalog.autoVacuum !== 0) lines.push(`PRAGMA auto_vacuum = ${catalog.autoVacuum};`);
    if (catalog.userVersion !== 0) lines.push(`PRAGMA user_version = ${catalog.userVersion};`);
    if (catalog.applicationId !== 0) {
      lines.push(`PRAGMA application_id = ${catalog.applicationId};`);
    }
  }
  if (ignoresChecks) lines.push("PRAGMA ignore_check_constraints=ON;");
  return `${lines.join("\n")}\n`;
}

/** What is written, and what can't be. */
interface Chosen {
  readonly chosen: readonly CatalogObject[];
  readonly unreadable: ReadonlyMap<string, string>;
}

async function* schemaAndData(
  connection: Connection,
  catalog: Catalog,
  { chosen, unreadable, content }: Chosen & { readonly content: DumpContent },
): AsyncGenerator<DumpPart> {
  const hasRows = content === "all";
  const tables = of(chosen, "table", "shadow");
  const lists = hasRows ? await listTables(connection, tables.length) : null;
  for (const { name, sql } of tables) {
    yield text(`${terminate(sql)}\n`);
    const comment = unreadable.get(name);
    if (!hasRows) continue;
    if (comment !== undefined) yield text(comment);
    else yield* rowsOf(withRowid(await readTable(connection, name, lists)), catalog);
  }
  if (hasRows) yield text(await sequences(connection, catalog, tables));
  for (const { name } of of(chosen, "virtual")) yield text(unreadable.get(name) ?? "");
  const virtual = of(chosen, "virtual").filter(({ name }) => !unreadable.has(name));
  if (virtual.length > 0) yield text(virtualTables(virtual));
  for (const { sql } of of(chosen, "index", "view", "trigger")) yield text(`${terminate(sql)}\n`);
  if (hasRows && chosen.length === catalog.objects.length) yield* statistics(connection, catalog);
}

function of(objects: readonly CatalogObject[], ...kinds: ObjectKind[]): CatalogObject[] {
  return objects.filter(({ kind }) => kinds.includes(kind));
}

function* rowsOf(table: DumpTable, { encoding }: Catalog): Generator<DumpPart> {
  if (table.columns.length === 0) return;
  const into = `INSERT INTO ${quoteName(table.name)} (${columnList(table)}) VALUES\n`;
  yield { kind: "rows", table, format: "sql", encoding, opening: into, closing: ";\n" };
}

async function sequences(
  connection: Connection,
  catalog: Catalog,
  tables: readonly CatalogObject[],
): Promise<string> {
  if (!catalog.internal.has("sqlite_sequence")) return "";
  const marks = await readSequences(connection);
  return tables.flatMap(({ name }) => {
    const mark = marks.get(name);
    if (mark === undefined) return [];
    const literal = textLiteral(name);
    return [
      `DELETE FROM sqlite_sequence WHERE name = ${literal};\n`,
      `INSERT INTO sqlite_sequence (name, seq) VALUES (${literal}, ${mark});\n`,
    ];
  }).join("");
}

/**
 * Only the entry in the schema, because the module's tables and their content are already there.
 * The `sqlite3` shell does the same; creating the table again would not restore everything.
 */
function virtualTables(tables: readonly CatalogObject[]): string {
  const entries = tables.map(({ name, sql }) => {
    // With carriage returns unchanged, as in every other statement: an import accepts only
    // literals.
    const literal = quoteText(name);
    return `INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql) VALUES('table',${literal},${literal},0,${
      quoteText(sql)
    });\n`;
  });
  return `PRAGMA writable_schema = ON;\n${entries.join("")}PRAGMA writable_schema = OFF;\n`;
}

/** The results of `ANALYZE`, without which the query planner would decide differently. */
async function* statistics(connection: Connection, catalog: Catalog): AsyncGenerator<DumpPart> {
  if (!catalog.internal.has("sqlite_stat1")) return;
  yield text("ANALYZE sqlite_schema;\nDELETE FROM sqlite_stat1;\n");
  yield* rowsOf(await readTable(connection, "sqlite_stat1"), catalog);
}

/** Only the rows, for a database that has the schema and its own markers. */
async function* dataOnly(
  connection: Connection,
  catalog: Catalog,
  { chosen, unreadable }: Chosen,
): AsyncGenerator<DumpPart> {
  for (const comment of unreadable.values()) yield text(comment);
  const tables = of(chosen, "table").filter(({ name }) => !unreadable.has(name)).filter((
    { name },
  ) => name !== MARKER_TABLE);
  const lists = await listTables(connection, tables.length);
  for (const { name } of tables) {
    // Existing rows may have the same row ids, which mean nothing if there is a key.
    yield* rowsOf(withOnlyKey(await readTable(connection, name, lists)), catalog);
  }
  for (const { name, sql } of of(chosen, "virtual")) {
    if (unreadable.has(name)) continue;
    const rows = virtualRows(sql, await readTable(connection, name));
    if (rows.kind === "rows") yield* rowsOf(rows.table, catalog);
    else yield text(rows.sql);
  }
  if (catalog.internal.has("sqlite_sequence")) {
    const marks = await readSequences(connection);
    for (const { name } of tables) {
      const mark = marks.get(name);
      // The counter never goes back: another row with that id may have existed since.
      if (mark !== undefined) {
        const literal = textLiteral(name);
        const missing = `NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ${literal})`;
        yield text(
          `INSERT INTO sqlite_sequence (name, seq) SELECT ${literal}, 0 WHERE ${missing};\n` +
            `UPDATE sqlite_sequence SET seq = max(seq, ${mark}) WHERE name = ${literal};\n`,
        );
      }
    }
  }
}

function text(text: string): DumpPart {
  return { kind: "text", text };
}

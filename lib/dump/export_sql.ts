import type { Connection } from "../database/connection.ts";
import { fold, quoteName, quoteText, terminate } from "../sql/tokens.ts";
import { MARKER_TABLE } from "../migration/migration.ts";
import {
  type Catalog,
  type CatalogObject,
  columnList,
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
import { textLiteral } from "./export_formats.ts";
import type { DumpContent, DumpPart } from "./export_rows.ts";

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
  const tables = of(chosen, "table").filter(({ name }) =>
    !unreadable.has(name) && name !== MARKER_TABLE
  );
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

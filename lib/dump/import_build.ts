import { driverMessage } from "../database/failure.ts";
import { quoteName } from "../sql/tokens.ts";
import type { Connection } from "../database/connection.ts";
import { openFile } from "../database/node_sqlite.ts";
import { number, text } from "../database/connection.ts";
import type { ConnectionSettings } from "../database/settings.ts";
import { StatementError } from "../base/errors.ts";
import { removeDatabase, syncFile } from "../base/files.ts";
import { DumpFault } from "./import/fault.ts";
import { loadDump } from "./import_loader.ts";
import type { VirtualTable } from "./import/virtual_tables.ts";

/**
 * Memory for pages, in KiB. As much again is what sorting an index takes, of which the rest is in
 * temporary files: in memory it would have no limit.
 */
const CACHE_KIB = 40_000;

/** Rows of a table that point to rows that don't exist. */
export interface Violation {
  /** The table whose rows they are. */
  readonly table: string;
  /** The table that they point to. */
  readonly parent: string;
  /** Number of rows. */
  readonly rows: number;
}

/** How a database is built from a dump. */
export interface BuildOptions {
  /** Path of the file to make; what is there of it is removed. */
  readonly path: string;
  readonly settings: ConnectionSettings;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Builds a database of its own from a dump and checks it. Nobody else sees the file before it is
 * whole, so it is written without waiting for the disk, until the end. After a failure it is gone.
 */
export async function buildDatabase(
  chunks: AsyncIterable<Uint8Array>,
  options: BuildOptions,
): Promise<readonly Violation[]> {
  const { path } = options;
  removeDatabase(path);
  try {
    const virtualTables = await fill(chunks, options);
    const violations = await check(path, virtualTables);
    await syncFile(path);
    return violations;
  } catch (error) {
    removeDatabase(path);
    throw error;
  }
}

async function fill(
  chunks: AsyncIterable<Uint8Array>,
  { path, settings, signal }: BuildOptions,
): Promise<readonly VirtualTable[]> {
  await using connection = await openFile(path, {
    verb: "build",
    mode: "ordinary",
    lenient: true,
  });
  await connection.exec(
    `PRAGMA journal_mode = MEMORY;
    PRAGMA synchronous = OFF;
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA cache_size = ${-CACHE_KIB};
    PRAGMA temp_store = FILE;
    PRAGMA foreign_keys = OFF;`,
  );
  const { virtualTables } = await loadDump(connection, chunks, { isInside: false, signal });
  await addVirtualTables(connection, virtualTables);
  await connection.exec("COMMIT");
  if (settings.journalMode === "WAL") await connection.exec("PRAGMA journal_mode = WAL");
  return virtualTables;
}

/** Writes the rows of virtual tables as the shell's dumps do; their own tables are there already. */
async function addVirtualTables(
  connection: Connection,
  tables: readonly VirtualTable[],
): Promise<void> {
  if (tables.length === 0) return;
  await connection.exec("PRAGMA writable_schema = ON");
  for (const { name, sql, line } of tables) {
    const taken = await connection.get(
      "SELECT 1 FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE OR ?1 LIKE 'sqlite\\_%' ESCAPE '\\'",
      [name],
    );
    if (taken !== undefined) {
      throw new DumpFault(`there is already something of the name ${name}`, {
        line,
        statement: sql,
      });
    }
    await connection.run(
      "INSERT INTO sqlite_schema (type, name, tbl_name, rootpage, sql) VALUES ('table', ?1, ?1, 0, ?2)",
      [name, sql],
    );
  }
  await connection.exec("PRAGMA writable_schema = OFF");
}

/** Opens the finished file anew, as everybody will, and looks whether all of it can be used. */
async function check(
  path: string,
  virtualTables: readonly VirtualTable[],
): Promise<readonly Violation[]> {
  await using connection = await openFile(path, { verb: "check", mode: "ordinary" });
  for (const { name, sql, line } of virtualTables) {
    try {
      await connection.get(`SELECT 1 FROM ${quoteName(name)} LIMIT 1`);
    } catch (error) {
      throw new DumpFault(`virtual table ${name} can't be used: ${driverMessage(error)}`, {
        line,
        statement: sql,
        cause: error,
      });
    }
  }
  await connection.exec("PRAGMA query_only = ON; PRAGMA ignore_check_constraints = ON");
  const row = await connection.get("PRAGMA quick_check(1)");
  const found = row === undefined ? "no answer" : text(row, "quick_check");
  if (found !== "ok") {
    throw new DumpFault(`the database that it makes is damaged: ${found}`, {
      help: "check the disk",
    });
  }
  return await findViolations(connection);
}

/** Rows that point to nothing, by table. They were so where the dump comes from. */
async function findViolations(connection: Connection): Promise<readonly Violation[]> {
  try {
    const rows = await connection.all(
      `SELECT "table", parent, count(*) AS rows
      FROM pragma_foreign_key_check
      GROUP BY "table", parent
      ORDER BY "table", parent`,
    );
    return rows.map((row) => ({
      table: text(row, "table"),
      parent: text(row, "parent"),
      rows: number(row, "rows"),
    }));
  } catch (error) {
    // A foreign key to a column that isn't unique: SQLite can't check that, nor could it before.
    if (error instanceof StatementError) return [];
    throw error;
  }
}

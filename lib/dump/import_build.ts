import { StatementError } from "../base/errors.ts";
import { createLike, removeDatabase, syncFile } from "../base/files.ts";
import {
  type Connection,
  type ConnectionSettings,
  number,
  type Row,
  text,
} from "../database/connection.ts";
import { driverMessage } from "../database/failure.ts";
import { openFile } from "../database/open.ts";
import { holdForeignKeys, withTransaction } from "../database/transaction.ts";
import { brokenReferences, lostRows, observeRows, type RowObservation } from "../engine/checks.ts";
import { checkFile, type ViolatedCheck, violatedChecks } from "../schema/integrity.ts";
import { quoteName } from "../sql/tokens.ts";
import type { VirtualTable } from "./import_guard.ts";
import { loadDump } from "./import_loader.ts";
import { DumpFault } from "./import_source.ts";

/**
 * Memory for pages, in KiB. As much again is what sorting an index takes, of which the rest is in
 * temporary files: in memory it would have no limit.
 */
const CACHE_KIB = 40_000;

/** Rows of a table that reference missing rows. */
export interface Violation {
  /** The table whose rows they are. */
  readonly table: string;
  /** The table that they point to. */
  readonly parent: string;
  /** Number of rows. */
  readonly rows: number;
}

/** What a new database has that its constraints forbid; it was so where the dump comes from. */
export interface Violations {
  /** Rows that reference missing rows. */
  readonly violations: readonly Violation[];
  /** Rows that violate a CHECK constraint. */
  readonly violatedChecks: readonly ViolatedCheck[];
}

/** How a database is built from a dump. */
interface BuildOptions {
  /** Path of the file to make; what is there of it is removed. */
  readonly path: string;
  /** File that tells who may read the new one. Default: as the umask says. */
  readonly like?: string | undefined;
  readonly settings: ConnectionSettings;
  /** Called when everything has been read, before it is checked. */
  readonly onCheck?: () => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Builds a database of its own from a dump and checks it. Nobody else sees the file before it is
 * whole, so it is written without waiting for the disk, until the end. After a failure it is gone.
 */
export async function buildDatabase(
  chunks: AsyncIterable<Uint8Array>,
  options: BuildOptions,
): Promise<Violations> {
  const { path, like } = options;
  removeDatabase(path);
  if (like !== undefined) createLike(path, like);
  try {
    const virtualTables = await fill(chunks, options);
    options.onCheck?.();
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
  });
  await connection.exec(
    `PRAGMA journal_mode = MEMORY;
    PRAGMA synchronous = OFF;
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA cache_size = ${-CACHE_KIB};
    PRAGMA temp_store = FILE;
    PRAGMA foreign_keys = OFF;
    PRAGMA ignore_check_constraints = ON;`,
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
): Promise<Violations> {
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
  const { damages: [found] } = await checkFile(connection, { pragma: "quick_check", limit: 1 });
  if (found !== undefined) {
    throw new DumpFault(`the database that it makes is damaged: ${found}`, {
      help: "check the disk",
    });
  }
  return {
    violations: await findViolations(connection),
    violatedChecks: await violatedChecks(connection),
  };
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

/** What a dump did to a database that was there. */
interface ExistingChange {
  /** Rows by table, before and after. */
  readonly before: RowObservation["rows"];
  readonly after: RowObservation["rows"];
  /** Tables with fewer rows than before, and how many fewer. */
  readonly lost: readonly { readonly table: string; readonly rows: number }[];
}

/** How a dump is run against a database that is there. */
interface ExistingOptions {
  /** Looks at what was done before it is committed; throws to take it back. */
  readonly verify: (change: ExistingChange) => Promise<void>;
  /** Seconds to wait for another writer. */
  readonly timeout: number;
  readonly signal?: AbortSignal | undefined;
}

/** Runs a dump against a database that is there: all of it, or nothing. Returns the rows it added, by table. */
export async function loadIntoExisting(
  connection: Connection,
  chunks: AsyncIterable<Uint8Array>,
  options: ExistingOptions,
): Promise<Readonly<Record<string, number>>> {
  // A dump has its tables in any order. It is a no-op inside of the transaction, so it comes before.
  const foreignKeys = await holdForeignKeys(connection, false);
  try {
    return await withTransaction(connection, async () => {
      const before = await observeRows(connection);
      const sequences = await readSequences(connection);
      const { virtualTables: [virtual] } = await loadDump(connection, chunks, {
        isInside: true,
        signal: options.signal,
      });
      if (virtual !== undefined) {
        throw new DumpFault(`virtual table ${virtual.name} can't be added to a database`, {
          line: virtual.line,
          statement: virtual.sql,
          help: "import the dump as a whole database, or write it as CREATE VIRTUAL TABLE",
        });
      }
      await keepSequences(connection, sequences);
      const after = await observeRows(connection);
      const broken = brokenReferences(before, after);
      if (broken !== null) {
        throw new DumpFault(broken, { help: "import the rows they point to first" });
      }
      await options.verify({
        before: before.rows,
        after: after.rows,
        lost: lostRows(before.rows, after.rows),
      });
      return Object.fromEntries(
        [...after.rows].map(([table, rows]) =>
          [table, rows - (before.rows.get(table) ?? 0)] as const
        )
          .filter(([, rows]) => rows !== 0),
      );
    }, options);
  } finally {
    await foreignKeys.restore();
  }
}

/** The numbers that AUTOINCREMENT has come to, by table. */
async function readSequences(connection: Connection): Promise<readonly Row[]> {
  const table = await connection.get(
    "SELECT 1 FROM main.sqlite_schema WHERE name = 'sqlite_sequence'",
  );
  if (table === undefined) return [];
  return await connection.all(
    "SELECT name, seq FROM main.sqlite_sequence WHERE typeof(seq) = 'integer'",
  );
}

/**
 * Whole dumps delete all rows of `sqlite_sequence` and write their own. Here the numbers of rows that
 * were deleted must not be given again.
 */
async function keepSequences(connection: Connection, before: readonly Row[]): Promise<void> {
  for (const { name = null, seq = null } of before) {
    const { changes } = await connection.run(
      "UPDATE main.sqlite_sequence SET seq = max(seq, ?) WHERE name = ?",
      [seq, name],
    );
    if (changes > 0) continue;
    await connection.run(
      `INSERT INTO main.sqlite_sequence (name, seq)
      SELECT ?, ? WHERE EXISTS (SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND name = ?)`,
      [name, seq, name],
    );
  }
}

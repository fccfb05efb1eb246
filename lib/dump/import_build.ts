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
import { openForReading, openForWriting } from "../database/open.ts";
import { holdForeignKeys, withTransaction } from "../database/transaction.ts";
import { RowCopies, type RowLoss } from "../engine/row_copies.ts";
import { brokenReferences, lostRows, observeRows, type RowObservation } from "../engine/checks.ts";
import { checkFile, type ViolatedCheck, violatedChecks } from "../schema/integrity.ts";
import { usersTables } from "../schema/tables.ts";
import { quoteName } from "../sql/tokens.ts";
import type { VirtualTable } from "./import_guard.ts";
import { loadDump } from "./import_loader.ts";
import { DumpFault } from "./import_source.ts";

/**
 * Memory for pages, in KiB. Sorting an index takes the same amount again; the rest of it is in
 * temporary files, because memory would have no limit.
 */
const CACHE_KIB = 40_000;

/** Rows of a table that reference missing rows. */
export interface Violation {
  /** The table that contains the rows. */
  readonly table: string;
  /** The table that they reference. */
  readonly parent: string;
  /** Number of rows. */
  readonly rows: number;
}

/** Constraint violations in a new database, which come from the original. */
export interface Violations {
  /** Rows that reference missing rows. */
  readonly violations: readonly Violation[];
  /** Rows that violate a CHECK constraint. */
  readonly violatedChecks: readonly ViolatedCheck[];
}

/** Options for building a database from a dump. */
interface BuildOptions {
  /** Path of the file to create; an existing file is removed. */
  readonly path: string;
  /** File whose permissions the new one gets. Default: decided by the umask. */
  readonly like?: string | undefined;
  readonly settings: ConnectionSettings;
  /** Called when everything has been read, before it is checked. */
  readonly onCheck?: () => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Builds a separate database from a dump and checks it. The file is not visible to others before it
 * is complete, so it is synced only at the end. After a failure it is removed.
 */
export async function buildDatabase(
  chunks: AsyncIterable<string>,
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
  chunks: AsyncIterable<string>,
  { path, settings, signal }: BuildOptions,
): Promise<readonly VirtualTable[]> {
  await using connection = await openForWriting(
    { kind: "file", path },
    { ...settings, mmapSize: 0, asItIs: true },
  );
  await connection.exec(
    `PRAGMA journal_mode = MEMORY;
    PRAGMA synchronous = OFF;
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA cache_size = ${-CACHE_KIB};
    PRAGMA temp_store = FILE;
    PRAGMA foreign_keys = OFF;
    PRAGMA ignore_check_constraints = ON;`,
  );
  const virtualTables = await loadDump(connection, chunks, { isInside: false, signal });
  await addVirtualTables(connection, virtualTables);
  await connection.exec("COMMIT");
  if (settings.journalMode === "WAL") await connection.exec("PRAGMA journal_mode = WAL");
  return virtualTables;
}

/** Adds virtual tables as the shell's dumps do; their shadow tables already exist. */
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
      throw new DumpFault(`the name ${name} is already in use`, {
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

/** Opens the finished file again, as other programs will, and checks that all of it can be used. */
async function check(
  path: string,
  virtualTables: readonly VirtualTable[],
): Promise<Violations> {
  await using connection = await openForReading({ kind: "file", path });
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
    throw new DumpFault(`the resulting database is damaged: ${found}`, {
      help: "check the disk",
    });
  }
  return {
    violations: await findViolations(connection),
    violatedChecks: await violatedChecks(connection),
  };
}

/** Dangling rows, by table. They come from the original. */
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
    // A foreign key to columns that are not unique: SQLite can't check it, nor could it before.
    if (error instanceof StatementError) return [];
    throw error;
  }
}

/** What a dump did to an existing database. */
interface ExistingChange {
  /** Rows by table, before and after. */
  readonly before: RowObservation["rows"];
  readonly after: RowObservation["rows"];
  /** Tables that lost rows, and the number of rows that were deleted or changed. */
  readonly lost: readonly { readonly table: string; readonly rows: number }[];
}

/** Options for running a dump against an existing database. */
interface ExistingOptions {
  /** Checks the change before it is committed; throws to roll it back. */
  readonly verify: (change: ExistingChange) => Promise<void>;
  /** Seconds to wait for another writer. */
  readonly timeout: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs a dump against an existing database, all-or-nothing. Returns the number of added rows, by
 * table.
 */
export async function loadIntoExisting(
  connection: Connection,
  chunks: AsyncIterable<string>,
  options: ExistingOptions,
): Promise<Readonly<Record<string, number>>> {
  // A dump has its tables in any order. Set before the transaction, in which it would have no
  // effect.
  const foreignKeys = await holdForeignKeys(connection, false);
  try {
    return await withTransaction(connection, async () => {
      const before = await observeRows(connection);
      const sequences = await readSequences(connection);
      const copies = await RowCopies.exact(connection);
      const [virtual] = await loadDump(connection, chunks, {
        isInside: true,
        watched: await filledTables(connection, before.rows),
        copy: (table) => copies.add(table),
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
      const replaced = await copies.compare();
      const after = await observeRows(connection);
      const broken = brokenReferences(before, after);
      if (broken !== null) {
        throw new DumpFault(broken, { help: "import the rows that they reference first" });
      }
      const counts = { before: before.rows, after: after.rows };
      await options.verify({ ...counts, lost: lossesOf(counts, replaced) });
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

/** Ordinary tables that have rows. */
async function filledTables(
  connection: Connection,
  rows: RowObservation["rows"],
): Promise<readonly string[]> {
  return (await usersTables(connection))
    .filter(({ name, type }) => type === "table" && (rows.get(name) ?? 0) > 0)
    .map(({ name }) => name);
}

/** Losses by table, whether there are fewer rows than before or others in their place. */
function lossesOf(
  { before, after }: Pick<ExistingChange, "before" | "after">,
  replaced: readonly RowLoss[],
): ExistingChange["lost"] {
  const losses = [...lostRows(before, after), ...replaced];
  return [...before].flatMap(([table, total]) => {
    const rows = Math.max(0, ...losses.filter((one) => one.table === table).map((one) => one.rows));
    // A copy may include rows that the dump itself added.
    return rows === 0 ? [] : [{ table, rows: Math.min(rows, total) }];
  });
}

/** The AUTOINCREMENT counters, by table. */
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
 * Full dumps delete all rows of `sqlite_sequence` and write their own. Here the ids of deleted rows
 * must not be reused.
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

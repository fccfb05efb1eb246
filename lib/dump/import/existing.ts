import { holdForeignKeys } from "../../database/transaction.ts";
import { brokenReferences, lostRows, type Observation, observe } from "../../engine/checks.ts";
import type { Connection } from "../../database/connection.ts";
import { withTransaction } from "../../database/transaction.ts";
import { DumpFault } from "./fault.ts";
import { loadDump } from "../import_loader.ts";

/** What a dump did to a database that was there. */
export interface ExistingChange {
  /** Rows by table, before and after. */
  readonly before: Observation["rows"];
  readonly after: Observation["rows"];
  /** Tables with fewer rows than before, and how many fewer. */
  readonly lost: readonly { readonly table: string; readonly rows: number }[];
}

/** How a dump is run against a database that is there. */
export interface ExistingOptions {
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
      const before = await observe(connection);
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
      const after = await observe(connection);
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

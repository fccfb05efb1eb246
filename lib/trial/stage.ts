import { type Run, runMigration } from "../engine/apply.ts";
import type { Connection } from "../database/connection.ts";
import { openFile } from "../database/node_sqlite.ts";
import { number, type SqlValue } from "../database/connection.ts";
import { defaultSettings } from "../database/settings.ts";
import { beginReading } from "../database/transaction.ts";
import type { Schema } from "../schema/model.ts";
import { readSchema } from "../schema/read.ts";
import { fold } from "../sql/tokens.ts";
import { type ContentQuestion, readContent, type TableContent } from "./content.ts";
import { type Touched, touchedBy } from "../rehearse/touched.ts";
import { type Observed, WatchedConnection } from "../rehearse/watched.ts";

/** What one run of a migration did. */
export interface Step {
  readonly observed: Observed;
  readonly seconds: number;
  /** Rows inserted, updated or deleted. */
  readonly rows: number;
  readonly before: Schema;
  readonly after: Schema;
  readonly touched: Touched;
}

/**
 * A copy of a database on which migrations are run up and down. What it held before the last one can be
 * read as long as {@link Stage.settle} was not called: a read transaction holds it fast. What it holds
 * now is best read after that, since from SQLite's log it comes slowly.
 */
export class Stage implements AsyncDisposable {
  readonly #connection: WatchedConnection;
  #former: Connection | null = null;
  #before: Schema;
  #now: Schema;

  private constructor(connection: Connection, schema: Schema) {
    this.#connection = new WatchedConnection(connection);
    this.#before = this.#now = schema;
  }

  /** Takes a copy that is open for writing. */
  static async of(connection: Connection): Promise<Stage> {
    // Else what was there before could not be read while it is changed.
    await connection.exec("PRAGMA journal_mode = WAL");
    return new Stage(connection, await readSchema(connection));
  }

  /** Runs a migration up or down as `upgrade` and `downgrade` do, and says what it did. */
  async run(run: Run): Promise<Step> {
    const connection = this.#connection;
    await this.settle();
    // Read-only, it leaves the log alone where it is the last one to be closed.
    this.#former = await openFile(connection.label, { verb: "read", mode: "read-only" });
    await this.#former.exec(`PRAGMA mmap_size = ${defaultSettings.mmapSize}`);
    await beginReading(this.#former);
    const before = this.#before = this.#now;
    const changes = await this.#number("total_changes()");
    connection.take();
    const seconds = await runMigration(connection, run) ?? 0;
    const observed = connection.take();
    // The marker is a row as well.
    const rows = Math.max(0, await this.#number("total_changes()") - changes - 1);
    const after = this.#now = await readSchema(connection, { previous: before });
    return { observed, seconds, rows, before, after, touched: touchedBy(observed, before) };
  }

  /** Reads a table as it was before the last run; null where it was not there. */
  async readFormer(question: ContentQuestion): Promise<TableContent | null> {
    const table = nameIn(this.#before, question.table);
    if (table === null || this.#former === null) return null;
    return await readContent(this.#former, { ...question, table });
  }

  /** Reads a table as it is now; null where it is not there. */
  async read(question: ContentQuestion): Promise<TableContent | null> {
    const table = nameIn(this.#now, question.table);
    return table === null ? null : await readContent(this.#connection, { ...question, table });
  }

  /** Lets go of what was there before the last run, and of SQLite's log. */
  async settle(): Promise<void> {
    if (this.#former === null) return;
    await this.#former.close();
    this.#former = null;
    // Nobody needs the copy after a crash: to wait for the disk would be in vain.
    const synchronous = await this.#value("PRAGMA synchronous");
    await this.#connection.exec("PRAGMA synchronous = OFF; PRAGMA wal_checkpoint(TRUNCATE)");
    await this.#connection.exec(`PRAGMA synchronous = ${synchronous}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#former?.close();
  }

  async #number(expression: string): Promise<number> {
    const row = await this.#connection.get(`SELECT ${expression} AS value`);
    return row === undefined ? 0 : number(row, "value");
  }

  async #value(pragma: string): Promise<SqlValue> {
    const row = await this.#connection.get(pragma) ?? {};
    return Object.values(row)[0] ?? null;
  }
}

function nameIn({ tables }: Schema, wanted: string): string | null {
  return tables.find(({ name }) => fold(name) === fold(wanted))?.name ?? null;
}

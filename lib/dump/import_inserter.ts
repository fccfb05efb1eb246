import type { Connection } from "../database/connection.ts";
import { driverMessage } from "../database/failure.ts";
import { StatementError } from "../base/errors.ts";
import {
  type GoodRow,
  type ImportTarget,
  insertSql,
  type ParsedRow,
  type TargetColumn,
} from "./import_target.ts";

/** Rows inserted by one statement: three times as fast as single rows; more rows gain nothing. */
const MOST_ROWS = 32;

/** Values in one statement; SQLite's own limit is far higher. */
const MOST_VALUES = 2000;

/** Characters of rows that wait to be inserted. */
const MOST_TEXT = 1_000_000;

/** SQLite's error for a row whose parent is missing. */
const ORPHANED = "FOREIGN KEY constraint failed";

/** Rows that may wait for their parents. */
const MOST_ORPHANS = 100_000;

/** Handles a bad row, or one that SQLite refuses. */
type RowRefusal = (row: Pick<ParsedRow, "line" | "text">, reason: string) => Promise<void>;

/**
 * Inserts rows into a table, many with one statement. If SQLite refuses that, it inserts none of
 * them; they are then inserted one by one, so that only the bad one is refused.
 */
export class RowInserter {
  readonly #connection: Connection;
  readonly #target: ImportTarget;
  readonly #refuse: RowRefusal;
  #waiting: GoodRow[] = [];
  #waitingText = 0;
  /** Columns of the waiting rows. */
  #columns: readonly TargetColumn[] | null = null;
  /** Rows per statement. */
  #most = 1;
  #sqlOfAll = "";
  #rows = 0;
  /** Rows whose parents may follow in the same table. */
  #orphans: GoodRow[] = [];

  constructor(connection: Connection, target: ImportTarget, refuse: RowRefusal) {
    this.#connection = connection;
    this.#target = target;
    this.#refuse = refuse;
  }

  /** Number of inserted rows. */
  get rows(): number {
    return this.#rows;
  }

  /** Adds rows in order; some of them may wait for others. */
  async add(rows: readonly ParsedRow[]): Promise<void> {
    for (const row of rows) {
      if ("reason" in row) {
        // The waiting rows come first, and may be refused, too.
        await this.#flush();
        await this.#refuse(row, row.reason);
        continue;
      }
      if (row.columns !== this.#columns) {
        await this.#flush();
        this.#begin(row.columns);
      }
      this.#waiting.push(row);
      this.#waitingText += row.text.length;
      if (this.#waiting.length >= this.#most || this.#waitingText > MOST_TEXT) await this.#flush();
    }
  }

  /** Inserts all waiting rows. */
  async finish(): Promise<void> {
    await this.#flush();
    for (let last = Infinity; this.#orphans.length < last && this.#orphans.length > 0;) {
      const again = this.#orphans;
      last = again.length;
      this.#orphans = [];
      for (const row of again) await this.#insertOne(row);
    }
    for (const row of this.#orphans) await this.#refuse(row, ORPHANED);
  }

  async #flush(): Promise<void> {
    const rows = this.#waiting;
    this.#waiting = [];
    this.#waitingText = 0;
    const isWhole = rows.length === this.#most && this.#most > 1;
    if (isWhole && await this.#insertAll(rows)) return;
    for (const row of rows) await this.#insertOne(row);
  }

  #begin(columns: readonly TargetColumn[]): void {
    const { hasEffects, hasParents } = this.#target;
    const isAlone = hasEffects || hasParents || columns.length === 0;
    this.#columns = columns;
    this.#most = isAlone ? 1 : Math.max(1, Math.min(MOST_ROWS, MOST_VALUES / columns.length | 0));
    this.#sqlOfAll = insertSql(this.#target, columns, this.#most);
  }

  async #insertAll(rows: readonly GoodRow[]): Promise<boolean> {
    try {
      await this.#connection.run(this.#sqlOfAll, rows.flatMap(({ values }) => values));
      this.#rows += rows.length;
      return true;
    } catch (error) {
      this.#reasonOf(error);
      return false;
    }
  }

  async #insertOne(row: GoodRow): Promise<void> {
    const reason = await this.#tryOne(row);
    if (reason === null) this.#rows++;
    else if (
      reason === ORPHANED && this.#target.hasParents && this.#orphans.length < MOST_ORPHANS
    ) {
      this.#orphans.push(row);
    } else await this.#refuse(row, reason);
  }

  /** Inserts one row; returns why it can't be inserted, or null. */
  async #tryOne(row: GoodRow): Promise<string | null> {
    const connection = this.#connection;
    const { hasEffects } = this.#target;
    // A failing trigger may keep the changes that it made before.
    if (hasEffects) await connection.exec("SAVEPOINT one_row");
    let reason: string | null = null;
    try {
      const { changes } = await connection.run(insertSql(this.#target, row.columns, 1), row.values);
      if (changes === 0) reason = "a trigger of the table skips it";
    } catch (error) {
      reason = this.#reasonOf(error);
    }
    if (hasEffects) {
      await connection.exec(`${reason === null ? "" : "ROLLBACK TO one_row; "}RELEASE one_row`);
    }
    return reason;
  }

  /** Why SQLite refused a row; rethrows errors that are not about one row. */
  #reasonOf(error: unknown): string {
    // A trigger may have rolled everything back, and a full disk is not the fault of a row.
    if (!this.#connection.inTransaction || !(error instanceof StatementError)) throw error;
    return driverMessage(error);
  }
}

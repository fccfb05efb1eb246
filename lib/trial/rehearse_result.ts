/** Result of a rehearsal. */
export interface Rehearsal {
  /** Whether there were no surprises; also true if nothing was pending. */
  readonly ok: boolean;
  /** The copied or created databases, in the registry's order. */
  readonly databases: readonly RehearsedDatabase[];
  /** The migrations that were run, in order; empty if none was pending. */
  readonly migrations: readonly RehearsedMigration[];
  /** All surprises, in the order of the migrations. */
  readonly surprises: readonly Surprise[];
  /** Facts worth knowing that are not surprises. */
  readonly notices: readonly RehearsalNotice[];
  /** Duration of the copying, in seconds. */
  readonly copySeconds: number;
  /** Seconds for which the copying blocked writers of the real databases. */
  readonly heldSeconds: number;
}

/** A rehearsed database. */
export interface RehearsedDatabase {
  /** Its name, such as `trading`. */
  readonly name: string;
  /** Size of the copy in bytes; 0 if the database does not exist yet. */
  readonly sizeBytes: number;
  /** Whether its rows were copied, too; for a database on a server, only on request. */
  readonly withRows: boolean;
  /** Total seconds for which its upgrades blocked other writers. */
  readonly lockedSeconds: number;
}

/** Result of rehearsing one migration. */
export interface RehearsedMigration {
  /** Its id, such as `004`. */
  readonly id: string;
  /** Its name. */
  readonly name: string;
  /** Name of its database. */
  readonly database: string;
  /** Duration of the first upgrade, in seconds. */
  readonly seconds: number;
  /**
   * Seconds for which it blocked other writers: from the beginning of its transaction to the end of
   * the commit. Without a transaction, the longest statement.
   */
  readonly lockedSeconds: number;
  /** Rows that it inserted, updated or deleted, including those of triggers. */
  readonly rowsTouched: number;
  /** Its statements in order; if there are more than 100, the 100 slowest. */
  readonly statements: readonly TimedStatement[];
  /** The tables that it created, or whose rows it wrote. */
  readonly tables: readonly RehearsedTable[];
  /** Duration of the downgrade, in seconds; null if it was skipped or failed. */
  readonly downgradeSeconds: number | null;
  /** Its surprises. */
  readonly surprises: readonly Surprise[];
}

/** A statement and its duration. */
export interface TimedStatement {
  /** Its text. */
  readonly sql: string;
  /** Line of the migration's file, or of its SQL if there is no file; null if a function ran it. */
  readonly line: number | null;
  /** Seconds. */
  readonly seconds: number;
}

/** What happened to a table. */
export interface RehearsedTable {
  /** Its name. */
  readonly name: string;
  /** Rows before the migration; null if the table did not exist. */
  readonly rowsBefore: number | null;
  /** Rows after it; null if the table was dropped or renamed. */
  readonly rowsAfter: number | null;
  /** Whether rows changed, or values in the columns that exist before and after. */
  readonly changed: boolean;
  /** Rows after the downgrade; null if there was none, or the table no longer exists. */
  readonly rowsRestored: number | null;
  /** Whether the downgrade restored the original; null if it was skipped. */
  readonly restored: boolean | null;
}

/** Kind of a surprise. */
export type SurpriseCode =
  | "upgrade-refused"
  | "upgrade-fails"
  | "downgrade-fails"
  | "downgrade-differs"
  | "rows-lost"
  | "rows-left"
  | "values-lost"
  | "second-upgrade-fails"
  | "second-upgrade-differs";

/** Something unexpected. */
export interface Surprise {
  /** Kind of the surprise. */
  readonly code: SurpriseCode;
  /** Name of the migration. */
  readonly migration: string;
  /** Name of its database. */
  readonly database: string;
  /** Table that it concerns; null if it does not concern a single one. */
  readonly table: string | null;
  /** The problem. */
  readonly reason: string;
  /** What to do. */
  readonly fix: string;
}

/** Something worth knowing. */
export interface RehearsalNotice {
  /** Name of the migration. */
  readonly migration: string;
  /** The fact. */
  readonly reason: string;
}

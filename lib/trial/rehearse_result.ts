/** What a rehearsal found. */
export interface Rehearsal {
  /** Whether all went as it should; also where nothing was pending. */
  readonly ok: boolean;
  /** The databases that were copied, or made, in the registry's order. */
  readonly databases: readonly RehearsedDatabase[];
  /** The migrations that were run, in order; none where none was pending. */
  readonly migrations: readonly RehearsedMigration[];
  /** All surprises, in the order of the migrations. */
  readonly surprises: readonly Surprise[];
  /** What should be known, and is no surprise. */
  readonly notices: readonly RehearsalNotice[];
  /** How long the copying took, in seconds. */
  readonly copySeconds: number;
  /** How long writers to the real databases were kept waiting for the copying, in seconds. */
  readonly heldSeconds: number;
}

/** A database that was rehearsed on. */
export interface RehearsedDatabase {
  /** Its name, such as `trading`. */
  readonly name: string;
  /** Size of the copy in bytes; 0 where the database is not there yet. */
  readonly sizeBytes: number;
  /** Whether its rows were copied too; of a database on a server only if that was asked for. */
  readonly withRows: boolean;
  /** How long nobody else could write while its migrations ran up, in seconds, all together. */
  readonly lockedSeconds: number;
}

/** What running a migration showed. */
export interface RehearsedMigration {
  /** Its id, such as `004`. */
  readonly id: string;
  /** Its name. */
  readonly name: string;
  /** Name of its database. */
  readonly database: string;
  /** How long it took the first time, in seconds. */
  readonly seconds: number;
  /**
   * How long it kept other writers out, in seconds: from the beginning of its transaction to the end of
   * the commit. Where it runs outside of a transaction, its longest statement.
   */
  readonly lockedSeconds: number;
  /** Rows that it inserted, updated or deleted, those of triggers included. */
  readonly rowsTouched: number;
  /** Its statements in order; where there are more than 100, the 100 slowest. */
  readonly statements: readonly TimedStatement[];
  /** The tables that it made, or of which it wrote rows. */
  readonly tables: readonly RehearsedTable[];
  /** How long the way back took, in seconds; null where it was left out or failed. */
  readonly downgradeSeconds: number | null;
  /** Its surprises. */
  readonly surprises: readonly Surprise[];
}

/** A statement and how long it took. */
export interface TimedStatement {
  /** Its text. */
  readonly sql: string;
  /** Line of the migration's file, or of its SQL where it has none; null where a function ran it. */
  readonly line: number | null;
  /** Seconds. */
  readonly seconds: number;
}

/** What became of a table. */
export interface RehearsedTable {
  /** Its name. */
  readonly name: string;
  /** Rows before the migration; null where the table was not there. */
  readonly rowsBefore: number | null;
  /** Rows after it; null where the table is gone, or renamed. */
  readonly rowsAfter: number | null;
  /** Whether values changed in the columns that it had before and has after, or their rows. */
  readonly changed: boolean;
  /** Rows after the way back; null where there was none, or the table is gone. */
  readonly rowsRestored: number | null;
  /** Whether the way back gave what was there before; null where it was left out. */
  readonly restored: boolean | null;
}

/** What sort a surprise is. */
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

/** Something that should not be. */
export interface Surprise {
  /** What sort it is. */
  readonly code: SurpriseCode;
  /** Name of the migration. */
  readonly migration: string;
  /** Name of its database. */
  readonly database: string;
  /** Table that it is about; null where it is about no single one. */
  readonly table: string | null;
  /** What is the case. */
  readonly reason: string;
  /** What to do. */
  readonly fix: string;
}

/** Something worth knowing. */
export interface RehearsalNotice {
  /** Name of the migration. */
  readonly migration: string;
  /** What is the case. */
  readonly reason: string;
}

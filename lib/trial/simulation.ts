import { statDatabase } from "../database/location.ts";
import type { Connection } from "../database/connection.ts";
import { driverMessage } from "../database/failure.ts";
import { openForReading } from "../database/open.ts";
import { dropTemporary } from "../migration/body.ts";
import type { Migration, MigrationBody } from "../migration/migration.ts";
import type { Schema } from "../schema/model.ts";
import { tokenize } from "../sql/tokens.ts";
import { locationOf, type Workspace } from "../state/workspace.ts";
import { AuthorizerLog, rowChanges } from "./authorizer.ts";
import { type Rebuild, rebuildsOf, RowCounts, type TracedTables, traceTables } from "./lineage.ts";
import {
  type BodyFailure,
  BodyRecorder,
  type RecordedBody,
  type RecordedStatement,
} from "./recorder.ts";
import { dropObjects, Scratch, type TableEntry } from "./scratch.ts";
import { downUp, type Pass } from "./up_down_up.ts";

/** A migration whose upgrade was run on a scratch database. */
export interface SimulatedUpgrade extends TracedTables {
  readonly migration: Migration;
  /** Schema before the upgrade. */
  readonly before: Schema;
  /** Schema after it. */
  readonly after: Schema;
  readonly run: RecordedBody;
  readonly rebuilds: readonly Rebuild[];
  readonly rowCounts: RowCounts;
  readonly scratch: Scratch;
  /** The real database, if it is on a server and was read; otherwise null. */
  readonly server: Connection | null;
  /** Rows from which a table counts as large. */
  readonly largeTable: number;
}

/** Result of reverting an upgrade and running it again. */
export interface Reversal {
  /** The downgrade; null if there is none. */
  readonly down: RecordedBody | null;
  /** Schema after the downgrade; null if it failed or there is none. */
  readonly restored: Schema | null;
  /** Why the upgrade does not run after the downgrade; null if it does. */
  readonly again: BodyFailure | null;
  /** Why an upgrade that claims to be repeatable does not run twice; null if it does. */
  readonly twice: BodyFailure | null;
}

/** Default number of rows from which a table counts as large. */
const LARGE_TABLE = 1_000_000;

/** How to try the migrations of a database. */
interface SimulationOptions {
  readonly database: string;
  /** Begins with an empty database, as for an applied migration. Default `false`. */
  readonly fromEmpty?: boolean;
  /** Whether a missing database exists elsewhere, with unknown rows. Default `false`. */
  readonly isElsewhere?: boolean;
  /** Whether {@link Simulation.reverse} will be called. Default `false`. */
  readonly reverses?: boolean;
  /** Rows from which a table counts as large. Default 1,000,000. */
  readonly largeTable?: number;
}

/** What a simulation knows at its beginning. */
interface SimulationStart {
  readonly scratch: Scratch;
  readonly log: AuthorizerLog;
  readonly rowCounts: RowCounts;
  readonly tables: readonly TableEntry[];
  readonly schema: Schema;
  readonly hasMismatch: boolean;
  readonly server: Connection | null;
  readonly largeTable: number;
  /** SQL of the schema; null if {@link Simulation.reverse} will not be called. */
  readonly texts: string | null;
  readonly owned: AsyncDisposableStack;
}

/** A scratch database on which the migrations of one database are tried in order. */
export class Simulation implements AsyncDisposable {
  readonly scratch: Scratch;
  readonly #start: SimulationStart;
  #tables: readonly TableEntry[];
  /** SQL of the schema before the upgrade under examination. */
  #texts: string | null;
  /** Whether upgrades were run since the other fields were read. */
  #isStale = false;
  #schema: Schema;
  #hasMismatch: boolean;

  private constructor(start: SimulationStart) {
    this.scratch = start.scratch;
    this.#start = start;
    this.#tables = start.tables;
    this.#texts = start.texts;
    this.#schema = start.schema;
    this.#hasMismatch = start.hasMismatch;
  }

  /**
   * Opens the real database to read its schema and count its rows, and makes a scratch database
   * like it.
   */
  static async open(workspace: Workspace, options: SimulationOptions): Promise<Simulation> {
    const { fromEmpty = false, isElsewhere = false, largeTable = LARGE_TABLE, reverses = false } =
      options;
    const location = locationOf(workspace, options.database);
    const isThere = !fromEmpty && statDatabase(location).exists;
    await using stack = new AsyncDisposableStack();
    const real = isThere ? await openForReading(location, workspace.settings) : null;
    // A connection of the caller stays open.
    if (real !== null && location.kind !== "open") stack.use(real);
    const scratch = stack.use(await Scratch.like(real));
    const tables = await scratch.tables();
    return new Simulation({
      scratch,
      tables,
      rowCounts: new RowCounts({
        ...{ scratch, tables, real },
        isElsewhere: isElsewhere || fromEmpty,
      }),
      log: stack.use(new AuthorizerLog(scratch.connection)),
      hasMismatch: await mismatch(scratch) !== null,
      schema: await scratch.schema(),
      texts: reverses ? await scratch.texts() : null,
      server: real?.isRemote === true ? real : null,
      largeTable,
      owned: stack.move(),
    });
  }

  /** Runs an upgrade without examining it, because it changes only its own rows, or none. */
  async apply(migration: Migration): Promise<BodyFailure | null> {
    const { connection } = this.scratch;
    this.#isStale = true;
    if (migration.transaction !== false) await connection.exec("BEGIN");
    const { failure } = await this.#run(migration, migration.upgrade);
    if (connection.inTransaction) await connection.exec(failure === null ? "COMMIT" : "ROLLBACK");
    return failure;
  }

  /** Rereads what others than {@link Simulation.upgrade} may have changed. */
  async #refresh(): Promise<void> {
    if (!this.#isStale) return;
    this.#isStale = false;
    this.#tables = await this.scratch.tables();
    this.#schema = await this.scratch.schema(this.#schema);
    if (this.#texts !== null) this.#texts = await this.scratch.texts();
    this.#start.rowCounts.add(this.#tables);
  }

  /**
   * Runs an upgrade and lets `look` examine it before the next one. A failed one is rolled back.
   */
  async upgrade(
    migration: Migration,
    look?: (simulated: SimulatedUpgrade) => Promise<void>,
  ): Promise<BodyFailure | null> {
    await this.#refresh();
    const { connection } = this.scratch;
    const inTransaction = migration.transaction !== false;
    const before = this.#schema;
    const tables = this.#tables;
    const { rowCounts, server, largeTable } = this.#start;
    const known = rowCounts.tables(tables);
    if (inTransaction) await connection.exec("BEGIN");
    const run = await this.#run(migration, migration.upgrade, { tables });
    const traced = traceTables(known, run.statements);
    const isChanged = run.failure === null && run.changes;
    const after = isChanged ? await this.scratch.schema(before) : before;
    const simulated: SimulatedUpgrade = {
      ...traced,
      migration,
      before,
      after,
      run: { ...run, failure: run.failure ?? await this.#newMismatch(before, after) },
      rebuilds: rebuildsOf(traced.lineages),
      scratch: this.scratch,
      rowCounts,
      server,
      largeTable,
    };
    this.#schema = after;
    try {
      await look?.(simulated);
    } finally {
      if (connection.inTransaction) {
        await connection.exec(run.failure === null ? "COMMIT" : "ROLLBACK");
      }
    }
    const renamed = run.statements.flatMap(({ altered }) => altered?.renamed ?? []);
    if (run.failure === null) {
      rowCounts.follow(traced.lineages, renamed);
      // Without a transaction it was run down and up again, so the pages have changed.
      this.#tables = inTransaction ? run.tables : await this.scratch.tables();
      if (run.changes && this.#texts !== null) this.#texts = await this.scratch.texts();
    }
    return simulated.run.failure;
  }

  /** After an upgrade, runs the downgrade and the upgrade again, and restores the database. */
  async reverse({ migration, before, after, run }: SimulatedUpgrade): Promise<Reversal> {
    const twice = claimsIdempotence(migration.upgrade)
      ? await this.#tentatively(
        migration,
        async () => (await this.#run(migration, migration.upgrade)).failure,
      )
      : null;
    const { downgrade } = migration;
    let reversal: Reversal = { down: null, restored: null, again: null, twice };
    if (downgrade === undefined) return reversal;
    let isSure = false;
    const runPass = async (_: Migration, pass: Pass): Promise<boolean> => {
      if (pass === "down") {
        const down = await this.#run(migration, downgrade);
        reversal = { ...reversal, down };
        if (down.failure !== null) return false;
        const isSame = this.#texts === await this.scratch.texts();
        reversal = { ...reversal, restored: isSame ? before : await this.scratch.schema(after) };
        // On the same schema it runs again, unless the rows that it inserts still exist.
        isSure = isSame && migration.transaction !== false && !run.statements.some(insertsRows);
      } else if (!isSure) {
        reversal = { ...reversal, again: (await this.#run(migration, migration.upgrade)).failure };
      }
      return reversal.again === null;
    };
    await this.#tentatively(migration, () => downUp([migration], runPass));
    return reversal;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#start.owned.disposeAsync();
  }

  /** Without a transaction nothing can be rolled back; up, down and up ends where it began. */
  async #tentatively<T>(migration: Migration, work: () => Promise<T>): Promise<T> {
    return migration.transaction === false ? await work() : await this.scratch.tentatively(work);
  }

  async #run(
    migration: Migration,
    body: MigrationBody,
    options: { readonly tables?: readonly TableEntry[] } = {},
  ): Promise<RecordedBody> {
    const recorder = new BodyRecorder({
      ...options,
      scratch: this.scratch,
      log: this.#start.log,
      migration,
      mayHaveRows: (table) => this.#start.rowCounts.mayHaveRows(table),
    });
    const run = await recorder.run(body);
    await dropTemporary(this.scratch.connection);
    return run;
  }

  /** A foreign key whose target is not a key, which SQLite only detects when it is used. */
  async #newMismatch(before: Schema, schema: Schema): Promise<BodyFailure | null> {
    if (this.#hasMismatch || schema.tables.every(({ foreignKeys }) => foreignKeys.length === 0)) {
      return null;
    }
    const message = await mismatch(this.scratch);
    if (message === null) return null;
    this.#hasMismatch = true;
    // A later migration may make what a new table refers to.
    const [, child = ""] = /^foreign key mismatch - "(.+)" referencing "/.exec(message) ?? [];
    const isOld = before.tables.some(({ name }) => name === child);
    return isOld ? { message, isCertain: true } : null;
  }

  /** The schema that the tried migrations have created. */
  get schema(): Schema {
    return this.#schema;
  }

  /** Drops tables and views that no later migration needs, with their indexes and triggers. */
  async forget(names: readonly string[]): Promise<void> {
    await dropObjects(this.scratch.connection, names);
    this.#isStale = true;
  }

  /** Whether there are tables. */
  get hasTables(): boolean {
    return this.#schema.tables.length > 0;
  }
}

function insertsRows({ events }: RecordedStatement): boolean {
  return rowChanges(events).some(({ kind }) => kind === "insert");
}

/** SQLite's message for a foreign key that refers to no unique key; null if there is none. */
export async function mismatch(scratch: Scratch): Promise<string | null> {
  try {
    await scratch.connection.exec("PRAGMA foreign_key_check");
    return null;
  } catch (error) {
    return driverMessage(error);
  }
}

/** Whether a text allows an object to exist, or to be missing, already. */
function claimsIdempotence(body: MigrationBody): boolean {
  if (typeof body !== "string" || !/\bexists\b/i.test(body)) return false;
  const words = tokenize(body).map(({ kind, value }) => kind === "word" ? value : "");
  return words.some((word, at) =>
    word === "if" && (words[at + 1] === "exists" || words[at + 1] === "not") &&
    words.slice(Math.max(0, at - 4), at).some((one) => one === "create" || one === "drop")
  );
}

import { statDatabase } from "../database/location.ts";
import type { Connection } from "../database/connection.ts";
import { openForReading } from "../database/open.ts";
import { dropTemporary } from "../migration/body.ts";
import type { Migration, MigrationBody } from "../migration/migration.ts";
import type { Schema } from "../schema/model.ts";
import { quoteName, tokenize } from "../sql/tokens.ts";
import { locationOf, type Workspace } from "../state/workspace.ts";
import { AuthorizerLog, rowChanges } from "./authorizer.ts";
import { type Rebuild, rebuildsOf, RowCounts, type TracedTables, traceTables } from "./lineage.ts";
import {
  type BodyFailure,
  recordBody,
  type RecordedBody,
  type RecordedStatement,
} from "./recorder.ts";
import { Scratch, type TableEntry } from "./scratch.ts";
import { downUp, type Pass } from "./up_down_up.ts";

/** A migration after its upgrade was run on a scratch database. */
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
  /** The real database, if it is on a server and was read; else null. */
  readonly server: Connection | null;
  /** Rows from which on a table counts as large. */
  readonly largeTable: number;
}

/** What came of taking an upgrade back and of running it again. */
export interface Reversal {
  /** The downgrade; null where there is none. */
  readonly down: RecordedBody | null;
  /** Schema after the downgrade; null where it failed or there is none. */
  readonly restored: Schema | null;
  /** Why the upgrade does not run after the downgrade; null where it does. */
  readonly again: BodyFailure | null;
  /** Why the upgrade, which claims that it may, does not run twice; null where it does. */
  readonly twice: BodyFailure | null;
}

/** Rows from which on a table counts as large, where nobody says otherwise. */
export const LARGE_TABLE = 1_000_000;

/** How the migrations of a database are tried. */
export interface SimulationOptions {
  readonly database: string;
  /** Begins with nothing, as where the migration is applied already. Default `false`. */
  readonly fromEmpty?: boolean;
  /** Whether a database that isn't there has rows elsewhere, which nobody knows. Default `false`. */
  readonly isElsewhere?: boolean;
  /** Whether {@link Simulation.reverse} will be called. Default `false`. */
  readonly reverses?: boolean;
  /** Rows from which on a table counts as large. Default a million. */
  readonly largeTable?: number;
}

/** A scratch database on which the migrations of one database are tried one after the other. */
export class Simulation implements AsyncDisposable {
  readonly scratch: Scratch;
  readonly #log: AuthorizerLog;
  readonly #rowCounts: RowCounts;
  readonly #largeTable: number;
  readonly #server: Connection | null;
  #tables: readonly TableEntry[];
  /** Texts of the schema before the upgrade that is looked at. */
  #texts: string;
  readonly #reverses: boolean;
  /** Whether upgrades were run since the rest was read. */
  #isStale = false;
  #schema: Schema;
  #hasMismatch: boolean;

  private constructor(
    parts: {
      scratch: Scratch;
      log: AuthorizerLog;
      rowCounts: RowCounts;
      tables: readonly TableEntry[];
    },
    schema: Schema,
    options: {
      hasMismatch: boolean;
      largeTable: number;
      texts: string;
      reverses: boolean;
      server: Connection | null;
    },
  ) {
    this.scratch = parts.scratch;
    this.#log = parts.log;
    this.#rowCounts = parts.rowCounts;
    this.#tables = parts.tables;
    this.#texts = options.texts;
    this.#reverses = options.reverses;
    this.#schema = schema;
    this.#hasMismatch = options.hasMismatch;
    this.#largeTable = options.largeTable;
    this.#server = options.server;
  }

  /** Opens the real database to read its schema and to count its rows, and makes a scratch like it. */
  static async open(workspace: Workspace, options: SimulationOptions): Promise<Simulation> {
    const { fromEmpty = false, isElsewhere = false, largeTable = LARGE_TABLE, reverses = false } =
      options;
    const location = locationOf(workspace, options.database);
    const isThere = !fromEmpty && statDatabase(location).exists;
    await using stack = new AsyncDisposableStack();
    const real = isThere ? await openForReading(location, workspace.settings) : null;
    // What a caller brought stays open.
    if (real !== null && location.kind !== "open") stack.use(real);
    const scratch = stack.use(await Scratch.like(real));
    const rowCounts = new RowCounts({ scratch, real, isElsewhere: isElsewhere || fromEmpty });
    const tables = await scratch.tables();
    rowCounts.begin(tables);
    const log = stack.use(new AuthorizerLog(scratch.connection));
    const hasMismatch = await mismatch(scratch) !== null;
    const simulation = new Simulation({ scratch, log, rowCounts, tables }, await scratch.schema(), {
      reverses,
      texts: reverses ? await scratch.texts() : "",
      hasMismatch,
      largeTable,
      server: real?.isRemote === true ? real : null,
    });
    simulation.#owned = stack.move();
    return simulation;
  }

  #owned: AsyncDisposableStack | null = null;

  /** Runs an upgrade that touches no rows, or none but its own, and looks at nothing. */
  async apply(migration: Migration): Promise<BodyFailure | null> {
    const { connection } = this.scratch;
    this.#isStale = true;
    if (migration.transaction !== false) await connection.exec("BEGIN");
    const { failure } = await this.#run(migration, migration.upgrade);
    if (connection.inTransaction) await connection.exec(failure === null ? "COMMIT" : "ROLLBACK");
    return failure;
  }

  /** Reads again what others than {@link Simulation.upgrade} may have changed. */
  async #refresh(): Promise<void> {
    if (!this.#isStale) return;
    this.#isStale = false;
    this.#tables = await this.scratch.tables();
    this.#schema = await this.scratch.schema(this.#schema);
    if (this.#reverses) this.#texts = await this.scratch.texts();
    this.#rowCounts.add(this.#tables);
  }

  /** Runs an upgrade, and lets `look` look at it before the next one; where it fails it is undone. */
  async upgrade(
    migration: Migration,
    look?: (simulated: SimulatedUpgrade) => Promise<void>,
  ): Promise<BodyFailure | null> {
    await this.#refresh();
    const { connection } = this.scratch;
    const inTransaction = migration.transaction !== false;
    const before = this.#schema;
    const tables = this.#tables;
    const known = this.#rowCounts.tables(tables);
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
      run: { ...run, failure: run.failure ?? await this.#newMismatch(after) },
      rebuilds: rebuildsOf(traced.lineages),
      rowCounts: this.#rowCounts,
      scratch: this.scratch,
      server: this.#server,
      largeTable: this.#largeTable,
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
      this.#rowCounts.follow(traced.lineages, renamed);
      // Outside of a transaction it was run down and up again, and the pages are others.
      this.#tables = inTransaction ? run.tables : await this.scratch.tables();
      if (run.changes && this.#reverses) this.#texts = await this.scratch.texts();
    }
    return simulated.run.failure;
  }

  /** Runs the downgrade and the upgrade again after an upgrade, and leaves the database as it was. */
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
        // On the same schema it runs again, unless the rows that it inserts are still there.
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
    await this.#owned?.disposeAsync();
  }

  /** Outside of a transaction nothing can be taken back; up, down and up ends where it began. */
  async #tentatively<T>(migration: Migration, work: () => Promise<T>): Promise<T> {
    return migration.transaction === false ? await work() : await this.scratch.tentatively(work);
  }

  async #run(
    migration: Migration,
    body: MigrationBody,
    options: { readonly tables?: readonly TableEntry[] } = {},
  ): Promise<RecordedBody> {
    const run = await recordBody(body, {
      ...options,
      scratch: this.scratch,
      log: this.#log,
      migration,
      mayHaveRows: (table) => this.#rowCounts.mayHaveRows(table),
    });
    await dropTemporary(this.scratch.connection);
    return run;
  }

  /** A foreign key that points to no key, which SQLite only finds when it is used. */
  async #newMismatch(schema: Schema): Promise<BodyFailure | null> {
    if (this.#hasMismatch || schema.tables.every(({ foreignKeys }) => foreignKeys.length === 0)) {
      return null;
    }
    const message = await mismatch(this.scratch);
    if (message === null) return null;
    this.#hasMismatch = true;
    return { message, isCertain: true };
  }

  /** The schema as the migrations that were tried have made it. */
  get schema(): Schema {
    return this.#schema;
  }

  /** Drops tables and views that no later migration needs, with their indexes and triggers. */
  async forget(names: readonly string[]): Promise<void> {
    const { connection } = this.scratch;
    const views = new Set(this.#schema.views.map(({ name }) => name));
    await connection.exec("BEGIN");
    try {
      for (const name of names) {
        const kind = views.has(name) ? "VIEW" : "TABLE";
        await connection.exec(`DROP ${kind} main.${quoteName(name)}`);
      }
      await connection.exec("COMMIT");
      this.#isStale = true;
    } catch {
      await connection.exec("ROLLBACK"); // to keep them takes only time
    }
  }

  /** Whether there are tables. */
  get hasTables(): boolean {
    return this.#schema.tables.length > 0;
  }
}

function insertsRows({ events }: RecordedStatement): boolean {
  return rowChanges(events).some(({ kind }) => kind === "insert");
}

async function mismatch(scratch: Scratch): Promise<string | null> {
  try {
    await scratch.connection.exec("PRAGMA foreign_key_check");
    return null;
  } catch (error) {
    return error instanceof Error && error.cause instanceof Error
      ? error.cause.message
      : String(error);
  }
}

/** Whether a text says of an object that it may be there, or be gone, already. */
function claimsIdempotence(body: MigrationBody): boolean {
  if (typeof body !== "string" || !/\bexists\b/i.test(body)) return false;
  const words = tokenize(body).map(({ kind, value }) => kind === "word" ? value : "");
  return words.some((word, at) =>
    word === "if" && (words[at + 1] === "exists" || words[at + 1] === "not") &&
    words.slice(Math.max(0, at - 4), at).some((one) => one === "create" || one === "drop")
  );
}

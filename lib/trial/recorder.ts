import { driverMessage } from "../database/failure.ts";
import { refuseTextAsName } from "../database/transaction.ts";
import { CatalystError } from "../base/errors.ts";
import type { ScriptStatement, SqlValue } from "../database/connection.ts";
import { firstLine, ineffectivePragma, isVacuum, whyForbidden } from "../migration/body.ts";
import type { Migration, MigrationBody, MigrationTransaction } from "../migration/migration.ts";
import { fold } from "../sql/tokens.ts";
import {
  type AuthorizerEvent,
  type AuthorizerLog,
  changesSchema,
  changesTables,
} from "./authorizer.ts";
import type { StatementPlace } from "./finding.ts";
import { failureOnRows, type Scratch, type TableEntry } from "./scratch.ts";

/** One statement that a migration ran, and its effects. */
export interface RecordedStatement extends StatementPlace {
  readonly events: readonly AuthorizerEvent[];
  /** Tables before it; the same list as `after` if it changed none. */
  readonly before: readonly TableEntry[];
  readonly after: readonly TableEntry[];
  /** Table whose columns it dropped or renamed; null if it did neither. */
  readonly altered: AlteredColumns | null;
  /** Number of rows that it inserted, updated or deleted on the scratch database. */
  readonly changes: number;
  /** Why it is forbidden in migrations and was not run; null if it was run. */
  readonly forbidden: string | null;
  /** A pragma that has no effect here and was left out; null if it is not one. */
  readonly ineffective: { readonly pragma: string; readonly value: string } | null;
  /** SQLite's error if the table has rows; null if there is none. */
  readonly failsOnRows: string | null;
}

/** A table and its database. */
interface NamedTable {
  readonly table: string;
  /** `main` or `temp`. */
  readonly database: string;
}

/** Columns that an ALTER TABLE changed. */
interface AlteredColumns extends NamedTable {
  readonly dropped: readonly string[];
  /** New names. */
  readonly renamed: readonly string[];
}

/** Why a body stopped early. */
export interface BodyFailure {
  readonly message: string;
  /**
   * Whether it fails with any rows; false if the missing rows of the scratch database may be the
   * reason.
   */
  readonly isCertain: boolean;
  /** The statement; absent if it does not concern a single one. */
  readonly place?: StatementPlace | undefined;
}

/** What a body did. */
export interface RecordedBody {
  /** The statements whose effects remain, without those rolled back to a savepoint. */
  readonly statements: readonly RecordedStatement[];
  /** Null if it completed. */
  readonly failure: BodyFailure | null;
  /** The tables after it, if they were followed. */
  readonly tables: readonly TableEntry[];
  /** Whether it changed the schema. */
  readonly changes: boolean;
}

/** Where and how to run a body. */
interface RecorderOptions {
  readonly scratch: Scratch;
  readonly log: AuthorizerLog;
  readonly migration: Migration;
  /** The tables before it, if they are to be followed; otherwise the statements have none. */
  readonly tables?: readonly TableEntry[];
  /** Whether a table may really have rows; if so, ALTER TABLE is tried with a row. */
  readonly mayHaveRows: (table: string) => Promise<boolean>;
}

/** Seconds that a function may take here, and that it may go without a statement. */
const PATIENCE = 10;

/** Runs a migration's body on a scratch database, statement by statement. */
export class BodyRecorder {
  readonly #options: RecorderOptions;
  readonly #savepoints: { readonly name: string; readonly at: number }[] = [];
  #statements: RecordedStatement[] = [];
  #tables: readonly TableEntry[];
  #changes = false;
  /** Whether a failure at this point does not depend on rows. */
  #isCertain = true;
  /** A function may start statements without awaiting earlier ones: here they run in order. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#tables = options.tables ?? [];
  }

  get #follows(): boolean {
    return this.#options.tables !== undefined;
  }

  async run(body: MigrationBody): Promise<RecordedBody> {
    const { connection } = this.#options.scratch;
    const wasInTransaction = connection.inTransaction;
    let failure: BodyFailure | null = null;
    try {
      if (typeof body === "string") await this.#script(body, true);
      else {
        const { callFunction } = await import("../migration/function_call.ts");
        await callFunction(body, this.#transaction(), { idleTimeout: PATIENCE });
      }
      if (connection.inTransaction !== wasInTransaction) {
        const message = "it leaves a transaction open, or ends one that it didn't begin";
        failure = { message, isCertain: true };
        if (connection.inTransaction) await connection.exec("ROLLBACK");
      }
    } catch (error) {
      const isScript = typeof body === "string";
      failure = { ...failureOf(error, isScript), isCertain: isScript && this.#isCertain };
      // Some pragmas are refused before they can be left out.
      if (failure.place !== undefined) this.#leftOut(failure.place, this.#options.log.stop());
    } finally {
      this.#options.log.stop();
    }
    return { statements: this.#statements, failure, tables: this.#tables, changes: this.#changes };
  }

  async #script(sql: string, knowsLines: boolean): Promise<void> {
    const { scratch, log } = this.#options;
    log.listen();
    await scratch.connection.script(sql, {
      around: async (statement) => {
        await this.#statement(statement, knowsLines);
        log.listen();
      },
    });
  }

  async #statement({ sql, line, run }: ScriptStatement, knowsLines: boolean): Promise<void> {
    const { scratch, log, mayHaveRows } = this.#options;
    const prepared = log.stop();
    const place = { sql, line: knowsLines ? line : null };
    if (this.#leftOut(place, prepared)) return;
    if (knowsLines && sql.includes('"')) {
      await refuseTextAsName(scratch.connection, sql);
    }
    const failsOnRows = this.#follows
      ? await failureOnRows(sql, prepared, { scratch, mayHaveRows })
      : null;
    const altered = this.#follows ? tableAltered(prepared) : null;
    const columns = altered === null ? [] : await scratch.columns(altered.table, altered.database);
    log.resume();
    // It was prepared, so the names in it exist, but the rows that it needs may not.
    this.#isCertain = changesSchema(prepared);
    run();
    this.#isCertain = true;
    const events = log.stop();
    await this.#record({
      ...place,
      events,
      failsOnRows,
      altered: altered === null ? null : compareColumns(
        altered,
        columns,
        await scratch.columns(altered.table, altered.database),
      ),
    });
  }

  /** A migration's function reads the results of its statements itself. */
  async #call<T>(sql: string, run: () => Promise<T>): Promise<T | null> {
    const { log } = this.#options;
    const place = { sql, line: null };
    if (this.#leftOut(place, [])) return null;
    log.listen();
    const result = await run();
    await this.#record({ ...place, events: log.stop(), failsOnRows: null, altered: null });
    return result;
  }

  #transaction(): MigrationTransaction {
    const { scratch: { connection }, migration } = this.#options;
    const deadline = performance.now() + PATIENCE * 1000;
    const queued = <T>(work: () => Promise<T>): Promise<T> => {
      const result = this.#queue.then(() => {
        if (performance.now() <= deadline) return work();
        throw new Error(`its function did not end within ${PATIENCE} s`);
      });
      this.#queue = result.catch(() => {});
      return result;
    };
    return {
      database: migration.database,
      exec: (sql) => queued(() => this.#script(sql, false)),
      run: async (sql: string, parameters?: readonly SqlValue[]) =>
        await queued(() => this.#call(sql, () => connection.run(sql, parameters))) ??
          { changes: 0 },
      all: async (sql: string, parameters?: readonly SqlValue[]) =>
        await queued(() => this.#call(sql, () => connection.all(sql, parameters))) ?? [],
    };
  }

  /** Records a statement that is not run, because it is forbidden or would have no effect. */
  #leftOut(place: StatementPlace, events: readonly AuthorizerEvent[]): boolean {
    const { migration } = this.#options;
    const isInTransaction = migration.transaction !== false;
    const reason = whyForbidden(place.sql, { transaction: isInTransaction });
    const pragma = ineffectivePragma(place.sql);
    // Foreign keys are always off here.
    const isIdle = pragma !== null && (isInTransaction || pragma.pragma === "foreign_keys");
    if (reason === null && !isIdle && !isVacuum(place.sql)) return false;
    this.#statements.push({
      ...place,
      events,
      before: this.#tables,
      after: this.#tables,
      altered: null,
      changes: 0,
      forbidden: reason,
      ineffective: isIdle && isInTransaction ? pragma : null,
      failsOnRows: null,
    });
    return true;
  }

  async #record(
    statement: StatementPlace & Pick<RecordedStatement, "events" | "altered" | "failsOnRows">,
  ): Promise<void> {
    const { scratch } = this.#options;
    const { events } = statement;
    const goesBack = this.#followSavepoints(events);
    const before = this.#tables;
    this.#changes ||= changesSchema(events);
    if (this.#follows && (goesBack || changesTables(events))) {
      this.#tables = await scratch.tables();
    }
    const inserts = this.#follows && events.some(({ action }) => action === "insert");
    this.#statements.push({
      ...statement,
      before,
      after: this.#tables,
      changes: inserts ? await scratch.changes() : 0,
      forbidden: null,
      ineffective: null,
    });
  }

  /** Drops the statements that a ROLLBACK TO undid; returns whether there was one. */
  #followSavepoints(events: readonly AuthorizerEvent[]): boolean {
    let goesBack = false;
    for (const { action, first, second } of events) {
      if (action !== "savepoint") continue;
      if (first === "BEGIN") {
        this.#savepoints.push({ name: fold(second), at: this.#statements.length });
        continue;
      }
      const index = this.#savepoints.findLastIndex(({ name }) => name === fold(second));
      if (index === -1) continue;
      if (first === "ROLLBACK") {
        this.#statements = this.#statements.slice(0, this.#savepoints[index]?.at);
        goesBack = true;
      }
      this.#savepoints.length = first === "ROLLBACK" ? index + 1 : index;
    }
    return goesBack;
  }
}

function tableAltered(events: readonly AuthorizerEvent[]): NamedTable | null {
  const event = events.find(({ action }) => action === "alter-table");
  return event === undefined ? null : { table: event.second, database: event.first };
}

function compareColumns(
  table: NamedTable,
  before: readonly string[],
  after: readonly string[],
): AlteredColumns | null {
  // Renamed: the table has a new name and keeps its columns.
  if (after.length === 0) return null;
  const dropped = before.filter((name) => !after.includes(name));
  const renamed = after.filter((name) => !before.includes(name));
  if (dropped.length === 0) return null;
  return before.length === after.length
    ? { ...table, dropped: [], renamed }
    : { ...table, dropped, renamed: [] };
}

function failureOf(error: unknown, isScript: boolean): Omit<BodyFailure, "isCertain"> {
  const message = driverMessage(error);
  if (!(error instanceof CatalystError) || error.statement === undefined) return { message };
  const line = isScript ? error.line ?? null : null;
  return { message, place: { sql: error.statement, line } };
}

/** Why a body failed, with the statement. */
export function failureReason({ message, place }: BodyFailure): string {
  return place === undefined ? message : `${message} (${firstLine(place.sql)})`;
}

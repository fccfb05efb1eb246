import type { Connection } from "../database/connection.ts";
import { driverMessage } from "../database/failure.ts";
import { lineOf, skipTrivia } from "../sql/tokens.ts";
import { StatementError } from "../base/errors.ts";
import { DumpFault } from "./import_source.ts";
import { MERGE_SEQUENCES, replacementFor } from "./import_foreign.ts";
import {
  readVirtualTable,
  StatementGuard,
  type TransactionMarks,
  type VirtualTable,
} from "./import_guard.ts";
import { Scanner, type StatementBatch } from "./import_scanner.ts";

/** Characters of SQL to keep, so that they can be run again to find a fault. */
const GROUP_SIZE = 8_000_000;

/** Options for loading a dump. */
interface LoadOptions {
  /** Whether the transaction is already open. Otherwise it is begun after the dump's first pragmas. */
  readonly isInside: boolean;
  /** Tables to copy before the dump changes or deletes their rows. */
  readonly watched?: Iterable<string> | undefined;
  /** Copies one of them. */
  readonly copy?: ((table: string) => Promise<void>) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A piece of the dump, in case it must be run again. */
type Done = Pick<StatementBatch, "sql" | "line">;

/**
 * Runs a dump against a connection, inside one transaction, which it leaves open.
 *
 * @returns the virtual tables that it writes as rows of `sqlite_schema`; they must still be created.
 * @throws {DumpFault} if a statement fails or is not allowed, or the dump is incomplete.
 */
export async function loadDump(
  connection: Connection,
  chunks: AsyncIterable<string>,
  options: LoadOptions,
): Promise<readonly VirtualTable[]> {
  using guard = new StatementGuard(connection, options.watched);
  const loader = new Loader(connection, guard, options);
  const scanner = new Scanner({ isSingle: !options.isInside });
  try {
    for await (const chunk of chunks) {
      for (const piece of scanner.push(chunk)) {
        await loader.take(piece);
        scanner.isSingle = !loader.isInside;
      }
    }
  } catch (error) {
    if (!(error instanceof DumpFault) || !error.place.hasReached) throw error;
    throw new DumpFault(error.message, { ...error.place, line: scanner.line });
  }
  if (options.signal?.aborted) throw interrupted();
  const rest = scanner.finish();
  let last = rest.next();
  for (; !last.done; last = rest.next()) await loader.take(last.value);
  return await loader.finish(last.value);
}

class Loader {
  readonly #connection: Connection;
  readonly #guard: StatementGuard;
  readonly #options: LoadOptions;
  readonly #virtualTables: VirtualTable[] = [];
  /** Whether the transaction is open. */
  isInside: boolean;
  /** Whether a statement that wrote `sqlite_sequence` in another tool's way was replaced. */
  #writesSequence = false;
  #group: Done[] = [];
  #groupSize = 0;
  /** State of the dump's transactions before the group. */
  #marks: TransactionMarks;

  constructor(connection: Connection, guard: StatementGuard, options: LoadOptions) {
    this.#connection = connection;
    this.#guard = guard;
    this.#options = options;
    this.isInside = options.isInside;
    this.#marks = guard.marks;
  }

  async take(piece: StatementBatch): Promise<void> {
    const { sql, line, isSchemaRow } = piece;
    if (this.#options.signal?.aborted) throw interrupted();
    if (isSchemaRow) {
      const start = skipTrivia(sql, 0);
      const at = line + lineOf(sql, start) - 1;
      this.#virtualTables.push(readVirtualTable(sql.slice(start), at));
      return;
    }
    if (!this.isInside) {
      // Page size, encoding and similar settings can only be set in an empty file.
      if (/^(pragma|begin)\b/i.test(sql.slice(skipTrivia(sql, 0)))) {
        return await this.#one(piece);
      }
      await this.#guard.trust(() => this.#connection.exec("BEGIN IMMEDIATE"));
      this.isInside = true;
    }
    await this.#run(piece);
  }

  async #run({ sql, line, joins, mayReplace }: StatementBatch): Promise<void> {
    if (this.#groupSize + sql.length > GROUP_SIZE) await this.#closeGroup();
    if (this.#group.length === 0) await this.#mark("SAVEPOINT catalyst_group");
    this.#group.push({ sql, line });
    this.#groupSize += sql.length;
    this.#guard.mayReplace = mayReplace;
    try {
      // Preparing one INSERT of many rows takes less time than many of one row. In an existing
      // database it might have another effect, through a trigger.
      await this.#connection.exec(this.#options.isInside ? sql : joined(sql, joins));
    } catch (error) {
      await this.#locate(error);
      await this.#closeGroup();
    }
  }

  /** Ends the dump. */
  async finish(remainder: Done | null): Promise<readonly VirtualTable[]> {
    const help = "the file is incomplete: write or copy the dump again";
    if (remainder !== null) {
      const { sql: statement, line } = remainder;
      throw new DumpFault("it ends in the middle of a statement", { line, statement, help });
    }
    const { isOpen, hasBegun } = this.#guard.marks;
    if (isOpen) throw new DumpFault("it ends in the middle: its COMMIT is missing", { help });
    const isEmpty = !this.#guard.hasContent && this.#virtualTables.length === 0;
    if (isEmpty && !hasBegun) {
      throw new DumpFault("it contains nothing to import", { help });
    }
    if (!this.isInside) await this.#guard.trust(() => this.#connection.exec("BEGIN IMMEDIATE"));
    else await this.#closeGroup();
    if (this.#writesSequence) await this.#mark(MERGE_SEQUENCES);
    return this.#virtualTables;
  }

  #mark(sql: string): Promise<void> {
    return this.#guard.trust(() => this.#connection.exec(sql));
  }

  async #closeGroup(): Promise<void> {
    if (this.#group.length > 0) await this.#mark("RELEASE catalyst_group");
    this.#group = [];
    this.#groupSize = 0;
    this.#marks = this.#guard.marks;
  }

  /** Finds the failing statement of the group, by running its statements again one by one. */
  async #locate(error: unknown): Promise<void> {
    if (!(error instanceof StatementError) || !this.#connection.inTransaction) {
      throw this.#fault(error, this.#group.at(-1));
    }
    this.#guard.takeRefusal();
    await this.#mark("ROLLBACK TO catalyst_group");
    this.#guard.marks = this.#marks;
    const last = this.#group.at(-1);
    for (const done of this.#group) {
      if (done !== last) await this.#connection.exec(done.sql);
      else await this.#singly(done);
    }
  }

  async #singly({ sql, line }: Done): Promise<void> {
    const scanner = new Scanner({ line, isSingle: true });
    for (const statement of scanner.push(sql)) {
      this.#guard.mayReplace = statement.mayReplace;
      await this.#one(statement);
    }
  }

  async #one({ sql, line }: Done): Promise<void> {
    try {
      await this.#exec(sql);
    } catch (error) {
      if (this.#isKnownRow(error, sql) || await this.#runReplacement(error, sql)) return;
      throw this.#fault(error, { sql, line });
    }
  }

  /** Runs a statement; before it changes rows of a watched table for the first time, copies that. */
  async #exec(sql: string): Promise<void> {
    try {
      await this.#connection.exec(sql);
    } catch (error) {
      const table = this.#guard.takeWanted();
      if (table === null) throw error;
      await this.#guard.trust(async () => await this.#options.copy?.(table));
      await this.#exec(sql);
    }
  }

  /** Runs the equivalent of a statement that only other tools write; false if there is none. */
  async #runReplacement(error: unknown, sql: string): Promise<boolean> {
    if (!(error instanceof StatementError) || !this.isInside) return false;
    const statement = sql.slice(skipTrivia(sql, 0));
    const asked = { sql: statement, reason: reasonOf(error) };
    const replacement = await this.#guard.trust(() => replacementFor(this.#connection, asked));
    if (replacement === null) return false;
    this.#writesSequence ||= replacement.writesSequence;
    if (replacement.sql !== "") await this.#exec(replacement.sql);
    return true;
  }

  /**
   * Whether a statement writes a row of a virtual table that must still be created. Python's
   * `iterdump` writes both those rows and the tables in which the virtual table keeps them.
   */
  #isKnownRow(error: unknown, sql: string): boolean {
    if (this.#virtualTables.length === 0 || !(error instanceof StatementError)) return false;
    const { name } = /no such table: (?:main\.)?(?<name>.*)$/s.exec(reasonOf(error))?.groups ?? {};
    return this.#virtualTables.some((one) => one.name === name) &&
      /^insert\s/i.test(sql.slice(skipTrivia(sql, 0)));
  }

  #fault(
    error: unknown,
    place: Done | undefined,
  ): unknown {
    const refusal = this.#guard.takeRefusal();
    if (!(error instanceof StatementError) || place === undefined) return error;
    const start = skipTrivia(place.sql, 0);
    return new DumpFault(
      refusal?.reason ?? reasonOf(error),
      {
        line: place.line + lineOf(place.sql, start) - 1,
        statement: place.sql.slice(start),
        help: refusal?.help ?? "fix it, or write the dump again",
        cause: error,
      },
    );
  }
}

/** SQL with some of its statements joined into one. */
function joined(sql: string, joins: readonly number[]): string {
  const parts: string[] = [];
  let at = 0;
  for (let index = 0; index < joins.length; index += 2) {
    parts.push(sql.slice(at, joins[index]), ",");
    at = joins[index + 1] ?? 0;
  }
  return joins.length === 0 ? sql : parts.join("") + sql.slice(at);
}

/** SQLite's own message; the driver adds the whole SQL to some messages. */
function reasonOf(error: StatementError): string {
  return driverMessage(error).replace(/ in [^]* at offset \d+$/, "");
}

/** The caller adds the name and the kind of error. */
function interrupted(): DumpFault {
  return new DumpFault("interrupted");
}

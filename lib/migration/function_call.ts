import { beforeBlocking, createYielder } from "../base/event_loop.ts";
import { StatementError } from "../base/errors.ts";
import { messageOf } from "../base/format.ts";
import { keepProcess } from "../base/own_process.ts";
import type { MigrationBody, MigrationTransaction } from "./migration.ts";

/** A migration's function. */
type MigrationFunction = Exclude<MigrationBody, string>;

/** Options for calling a migration's function. */
interface CallOptions {
  /** Seconds that it may run without a statement before it is stopped. Default 60. */
  readonly idleTimeout?: number | undefined;
}

/** Milliseconds to wait after the function returns for work that it left behind, such as reading a file. */
const GRACE = 20;

/** Errors of refused statements and their consequences, which have already been reported. */
const reported = new WeakSet<object>();
let ignoresReported = false;

/**
 * Calls a migration's function and waits for the statements that it started. Anything that it starts
 * after returning is a mistake, usually a missing `await`, because the migration may be committed by
 * then. So this waits for timers that the function set, and reports rejected promises that it left.
 *
 * @throws {StatementError} if it does something after it has returned, or runs no statement for too long.
 */
export async function callFunction(
  body: MigrationFunction,
  transaction: MigrationTransaction,
  { idleTimeout = 60 }: CallOptions,
): Promise<void> {
  ignoreReported();
  const running = new Set<Promise<unknown>>();
  let phase: "called" | "returned" | "over" = "called";
  let fault: { readonly error: unknown } | null = null;
  let lastAt = performance.now();
  const yielder = createYielder();
  const fail = (error: unknown) => {
    if (typeof error === "object" && error !== null) reported.add(error);
    fault ??= { error };
  };
  const attempt = async <T>(begin: () => Promise<T>): Promise<T> => {
    if (phase !== "called") {
      const error = afterReturn(transaction.database);
      fail(error);
      throw error;
    }
    const pause = yielder();
    if (pause !== undefined) await pause;
    return await begin();
  };
  const track = <T>(begin: () => Promise<T>): Promise<T> => {
    const statement = attempt(begin).finally(() => {
      running.delete(statement);
      lastAt = performance.now();
    });
    running.add(statement);
    return statement;
  };
  const { database, exec, run, all } = transaction;
  const tracked: MigrationTransaction = {
    database,
    exec: (sql) => track(() => exec(sql)),
    run: (sql, parameters) => track(() => run(sql, parameters)),
    all: (sql, parameters) => track(() => all(sql, parameters)),
  };
  const onRejection = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    if (isReported(event.reason)) return;
    fail(event.reason instanceof StatementError ? event.reason : leftAlone(event.reason));
  };
  using timers = await watchTimers();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const idle = new Promise<never>((_, reject) => {
    const look = () => {
      const passed = running.size > 0 ? 0 : performance.now() - lastAt;
      if (passed < idleTimeout * 1000) timer = setTimeout(look, idleTimeout * 1000 - passed);
      else reject(idleFor(idleTimeout));
    };
    timer = setTimeout(look, idleTimeout * 1000);
  });
  idle.catch(() => {}); // handled by the race below
  globalThis.addEventListener("unhandledrejection", onRejection);
  const pause = (milliseconds: number) =>
    Promise.race([new Promise((resolve) => setTimeout(resolve, milliseconds)), idle]);
  try {
    beforeBlocking();
    const returned = keepProcess(() => timers.run(() => body(tracked)), (call) => {
      const error = forbiddenCall(call);
      fail(error); // even if the function catches it
      return error;
    });
    await Promise.race([returned, idle]);
    phase = "returned";
    while (running.size > 0) {
      const outcomes = await Promise.race([Promise.allSettled(running), idle]);
      for (const one of outcomes) if (one.status === "rejected") fail(one.reason);
    }
    await pause(GRACE);
    while (fault === null && timers.pending > 0) await pause(GRACE);
    if (fault !== null) throw (fault as { readonly error: unknown }).error;
  } finally {
    phase = "over";
    clearTimeout(timer);
    await Promise.allSettled(running);
    globalThis.removeEventListener("unhandledrejection", onRejection);
  }
}

/** Counts the timers that a function sets, directly or in its asynchronous work. */
interface Timers extends Disposable {
  /** Number of timers that have neither run nor been cleared. */
  readonly pending: number;
  /** Calls a function and counts its timers. */
  run<T>(work: () => T): T;
}

async function watchTimers(): Promise<Timers> {
  const { AsyncLocalStorage, createHook } = await import("node:async_hooks");
  const storage = new AsyncLocalStorage<true>();
  const pending = new Set<number>();
  const hook = createHook({
    init(id, type) {
      if (storage.getStore() && (type === "Timeout" || type === "Immediate")) pending.add(id);
    },
    destroy: (id) => void pending.delete(id),
  });
  hook.enable();
  return {
    get pending() {
      return pending.size;
    },
    run: (work) => storage.run(true, work),
    [Symbol.dispose]: () => void hook.disable(),
  };
}

/** Prevents errors that were already reported from ending the program as unhandled rejections. */
function ignoreReported(): void {
  if (ignoresReported) return;
  ignoresReported = true;
  globalThis.addEventListener("unhandledrejection", (event) => {
    if (isReported(event.reason)) event.preventDefault();
  });
}

function isReported(reason: unknown): boolean {
  return typeof reason === "object" && reason !== null && reported.has(reason);
}

function afterReturn(database: string): StatementError {
  return failure(
    `its function ran a statement in ${database} after it had returned`,
    "put `await` before each statement, use `for … of` instead of `forEach`, and " +
      "`await Promise.all(…)` for several at once",
  );
}

function leftAlone(reason: unknown): StatementError {
  const error = failure(
    `a promise that its function does not await was rejected: ${messageOf(reason)}`,
    "put `await` before every call that returns a promise",
  );
  reported.add(error);
  return error;
}

function forbiddenCall(call: string): StatementError {
  return failure(
    `its function called ${call}`,
    call.includes("chdir")
      ? "use absolute paths, such as import.meta.dirname"
      : "throw an error to stop a migration",
  );
}

function idleFor(seconds: number): StatementError {
  return failure(
    `its function has not run a statement for ${seconds} s and has not returned`,
    "look for an `await` that never settles, or a timer that never ends",
  );
}

function failure(what: string, help: string): StatementError {
  return new StatementError(`Cannot continue the migration: ${what}`, {
    cause: new Error(what),
    help,
  });
}

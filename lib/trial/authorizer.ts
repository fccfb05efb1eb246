import type { Connection, Judge } from "../database/connection.ts";
import { fold } from "../sql/tokens.ts";

/** Actions that SQLite's authorizer reports. SQLite's interface fixes the numbers. */
const ACTIONS = {
  1: "create-index",
  2: "create-table",
  4: "create-table",
  9: "delete",
  10: "drop-index",
  11: "drop-table",
  13: "drop-table",
  16: "drop-trigger",
  17: "drop-view",
  18: "insert",
  19: "pragma",
  20: "read",
  22: "transaction",
  23: "update",
  24: "attach",
  25: "detach",
  26: "alter-table",
  29: "create-table",
  30: "drop-table",
  32: "savepoint",
} as const satisfies Readonly<Record<number, string>>;

/** A recorded action. */
export type Action = (typeof ACTIONS)[keyof typeof ACTIONS];

/** One question from SQLite to its authorizer, while preparing or running a statement. */
export interface AuthorizerEvent {
  readonly action: Action;
  /** Usually the table or object; SQLite's documentation defines it for each action. */
  readonly first: string;
  /** Usually the column; empty if there is none. */
  readonly second: string;
  /** `main`, `temp` or empty; for `alter-table` the dropped column. */
  readonly database: string;
  /** Trigger or view that causes it; null for the statement itself. */
  readonly cause: string | null;
}

/** Turns a question to the authorizer into an event; null for other actions. */
export function authorizerEvent(
  ...[code, first, second, database, cause]: Parameters<Judge>
): AuthorizerEvent | null {
  const actions: Readonly<Record<number, Action>> = ACTIONS;
  const action = actions[code];
  if (action === undefined) return null;
  return {
    action,
    first: first ?? "",
    second: second ?? "",
    database: database ?? "",
    cause,
  };
}

/** Records SQLite's questions to its authorizer while it listens. */
export class AuthorizerLog implements Disposable {
  #events: AuthorizerEvent[] = [];
  #listening = false;
  readonly #confined: Disposable;

  /** Listens to a connection until disposal. Refuses nothing. */
  constructor(connection: Connection) {
    this.#confined = connection.confine((...question) => {
      const event = this.#listening ? authorizerEvent(...question) : null;
      if (event !== null) this.#events.push(event);
      return 0;
    }, { defensive: false });
  }

  /** Clears the record and listens. */
  listen(): void {
    this.#events = [];
    this.#listening = true;
  }

  /** Continues listening. */
  resume(): void {
    this.#listening = true;
  }

  /** Stops listening; returns what was recorded since {@link AuthorizerLog.listen}. */
  stop(): readonly AuthorizerEvent[] {
    this.#listening = false;
    return this.#events;
  }

  [Symbol.dispose](): void {
    this.#confined[Symbol.dispose]();
  }
}

const SCHEMA_TABLE = /^sqlite_(temp_)?(master|schema)$/i;

/** Whether SQLite keeps the schema in a table. */
function isSchemaTable(name: string): boolean {
  return SCHEMA_TABLE.test(name);
}

/** Whether a statement changed the schema. */
export function changesSchema(events: readonly AuthorizerEvent[]): boolean {
  return events.some(({ action, first }) =>
    (action === "insert" || action === "update" || action === "delete") && isSchemaTable(first)
  );
}

/** Whether a statement created, dropped or renamed a table. */
export function changesTables(events: readonly AuthorizerEvent[]): boolean {
  return events.some(({ action, first, second }) =>
    action === "create-table" || action === "drop-table" ||
    action === "update" && second === "tbl_name" && isSchemaTable(first)
  );
}

/**
 * Rows of a table that a statement itself changes: not through a trigger, nor in SQLite's own
 * tables.
 */
interface RowChange {
  readonly table: string;
  /** `main` or `temp`. */
  readonly database: string;
  readonly kind: "insert" | "update" | "delete";
  /** Columns set by an update. */
  readonly columns: readonly string[];
  /** Whether every row is changed, because no condition selects rows. */
  readonly whole: boolean;
}

/**
 * The rows that a statement changes.
 *
 * The order in which SQLite resolves names shows whether there is a condition: it asks about the
 * columns in `SET` before it asks whether each may be updated, and about those in `WHERE`
 * afterwards. A DELETE or UPDATE that reads no column of its table after that changes every row,
 * even with `WHERE 1`. Foreign keys must be off in the database, because enforcing them reads
 * columns, too.
 */
export function rowChanges(events: readonly AuthorizerEvent[]): RowChange[] {
  if (changesSchema(events)) return [];
  const own = events.filter(({ cause }) => cause === null);
  const changes = new Map<string, RowChange>();
  own.forEach(({ action, first: table, second, database }, at) => {
    if (action !== "insert" && action !== "update" && action !== "delete") return;
    const key = `${action} ${database} ${fold(table)}`;
    const known = changes.get(key);
    const columns = action === "update" ? [...known?.columns ?? [], second] : [];
    const isRead = own.slice(at + 1).some((later) =>
      later.action === "read" && later.second !== "" && later.database === database &&
      fold(later.first) === fold(table)
    );
    const whole = action !== "insert" && !isRead;
    changes.set(key, { table, database, kind: action, columns, whole });
  });
  return [...changes.values()];
}

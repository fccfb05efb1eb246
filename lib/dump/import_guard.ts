import type { Connection, Verdict } from "../database/connection.ts";
import { fold, type Token, tokenIs, tokenize } from "../sql/tokens.ts";
import { closingParenthesis, itemsOf } from "../sql/parentheses.ts";
import { DumpFault } from "./import_source.ts";

// Possible answers of the authorizer.
const ALLOW = 0;
const DENY = 1;
const IGNORE = 2;

// Actions, as SQLite's authorizer numbers them.
const CREATE_TEMP: readonly number[] = [3, 4, 5, 6]; // an index, a table, a trigger, a view
const DELETE = 9;
const DROP_TABLE = 11;
const INSERT = 18;
const PRAGMA = 19;
const TRANSACTION = 22;
const UPDATE = 23;
const ATTACH = 24;
const DETACH = 25;
const CREATE_VTABLE = 29;
const FUNCTION = 31;
const SAVEPOINT = 32;
/** The highest known number; actions of later versions of SQLite are refused. */
const RECURSIVE = 33;

/** Pragmas that describe the database. FTS5 reads `data_version`. */
const KEPT = /^(application_id|auto_vacuum|data_version|encoding|page_size|user_version)$/i;

/**
 * Pragmas that only affect how a dump is run, or only read a value; the import decides this itself.
 */
const NEEDLESS =
  /^(cache_size|cache_spill|count_changes|default_cache_size|defer_foreign_keys|foreign_key_check|foreign_keys|full_column_names|ignore_check_constraints|integrity_check|journal_mode|journal_size_limit|legacy_alter_table|legacy_file_format|locking_mode|mmap_size|optimize|quick_check|short_column_names|synchronous|temp_store|threads|wal_autocheckpoint|wal_checkpoint|writable_schema)$/i;

const FORBIDDEN_FUNCTIONS = /^(edit|fts3_tokenizer|load_extension|readfile|sqlite_log|writefile)$/i;

/** State of a dump's own transactions. */
export interface TransactionMarks {
  /** Whether it has begun one and not committed it. */
  readonly isOpen: boolean;
  /** Whether it has begun any. */
  readonly hasBegun: boolean;
}

/** What was refused, in words. */
export interface Refusal {
  readonly reason: string;
  /** What to do next. */
  readonly help: string;
}

/**
 * Checks what a dump does, as SQLite's authorizer. The dump's own transactions have no effect,
 * because the import is one transaction, and statements that reach outside the database are
 * refused. SQLite's defensive mode protects `sqlite_schema` and the file.
 */
export class StatementGuard implements Disposable {
  readonly #confinement: Disposable;
  #isPaused = false;
  #refusal: Refusal | null = null;
  readonly #watched: Set<string>;
  #wanted: string | null = null;
  /** Whether the next statements may contain an `INSERT` that replaces rows. */
  mayReplace = false;
  /** State of the dump's transactions; restored when statements are run again. */
  marks: TransactionMarks = { isOpen: false, hasBegun: false };
  /** Whether the dump contained anything but pragmas and transactions. */
  hasContent = false;

  /** The first statement that may change or delete rows of a watched table is denied. */
  constructor(connection: Connection, watched: Iterable<string> = []) {
    this.#watched = new Set(watched);
    this.#confinement = connection.confine((action, first, second, _database, cause) => {
      if (this.#isPaused) return ALLOW;
      if (this.#watched.size > 0 && cause === null && this.#changesRows(action)) {
        if (first !== null && this.#watched.has(first)) {
          this.#wanted = first;
          return DENY;
        }
      }
      return this.#judge(action, first ?? "", second);
    });
  }

  /** The watched table for which a statement was denied; from now on it may be changed. */
  takeWanted(): string | null {
    const wanted = this.#wanted;
    if (wanted !== null) this.#watched.delete(wanted);
    this.#wanted = null;
    return wanted;
  }

  #changesRows(action: number): boolean {
    return action === DELETE || action === UPDATE || action === DROP_TABLE ||
      (action === INSERT && this.mayReplace);
  }

  /** The latest refusal; reading it clears it. */
  takeRefusal(): Refusal | null {
    const refusal = this.#refusal;
    this.#refusal = null;
    return refusal;
  }

  /** Runs the import's own statements. */
  async trust<T>(work: () => Promise<T>): Promise<T> {
    this.#isPaused = true;
    try {
      return await work();
    } finally {
      this.#isPaused = false;
    }
  }

  [Symbol.dispose](): void {
    this.#confinement[Symbol.dispose]();
  }

  #judge(action: number, first: string, second: string | null): Verdict {
    if (action !== PRAGMA && action !== TRANSACTION && action !== SAVEPOINT) {
      this.hasContent = true;
    }
    switch (action) {
      case TRANSACTION:
        return this.#transaction(first);
      case SAVEPOINT:
        return first === "ROLLBACK" ? this.#refuse("it rolls back to a savepoint") : IGNORE;
      case PRAGMA:
        if (KEPT.test(first)) return ALLOW;
        return NEEDLESS.test(first) ? IGNORE : this.#refuse(`it uses PRAGMA ${first}`);
      case ATTACH:
        return this.#refuse("it attaches another file, or writes one with VACUUM");
      case DETACH:
        return this.#refuse("it detaches a file");
      case FUNCTION:
        return second !== null && FORBIDDEN_FUNCTIONS.test(second)
          ? this.#refuse(`it calls ${second}()`)
          : ALLOW;
      case CREATE_VTABLE:
        return modules.includes((second ?? "").toLowerCase())
          ? ALLOW
          : this.#refuse(`it has a virtual table of module ${second}`);
      default:
        if (CREATE_TEMP.includes(action)) return this.#refuse("it creates a temporary object");
        return action <= RECURSIVE ? ALLOW : this.#refuse("it performs an unknown action");
    }
  }

  #transaction(operation: string): Verdict {
    if (operation === "ROLLBACK") {
      this.#refusal = {
        reason:
          "it contains ROLLBACK, with which the sqlite3 shell ends the dump of a damaged database, which " +
          "is incomplete",
        help:
          "use another dump, or save what is readable of that database with `sqlite3 FILE .recover`",
      };
      return DENY;
    }
    const isOpen = operation === "BEGIN";
    this.marks = { isOpen, hasBegun: this.marks.hasBegun || isOpen };
    return IGNORE;
  }

  #refuse(what: string): Verdict {
    this.#refusal = {
      reason: `${what}, which is not allowed in an import`,
      help: "remove it from the dump if you trust the rest",
    };
    return DENY;
  }
}

/** Allowed modules of virtual tables in a dump: they keep all their data in the database. */
export const modules: readonly string[] = [
  "fts3",
  "fts4",
  "fts4aux",
  "fts5",
  "fts5vocab",
  "geopoly",
  "rtree",
  "rtree_i32",
];

/** A virtual table that a dump writes as a row of `sqlite_schema`, as the shell's `.dump` does. */
export interface VirtualTable {
  readonly name: string;
  /** Its `CREATE VIRTUAL TABLE`. */
  readonly sql: string;
  /** Its line in the dump. */
  readonly line: number;
}

const COLUMNS = "type name tbl_name rootpage sql";

/**
 * Reads a statement that writes a row of `sqlite_schema`. Only one form is accepted: that in which
 * dumps write a virtual table whose shadow tables are dumped, too.
 *
 * @throws {DumpFault} if it is anything else.
 */
export function readVirtualTable(statement: string, line: number): VirtualTable {
  const tokens = tokenize(statement);
  while (tokenIs(tokens.at(-1), ";")) tokens.pop();
  const values = valuesOf(tokens);
  const [type, name, table, rootpage, sql] = values ?? [];
  const isForm = type === "table" && name !== undefined && name === table && rootpage === "0" &&
    sql !== undefined && values?.length === 5;
  if (!isForm) {
    throw new DumpFault("it changes sqlite_schema, which is not allowed in an import", {
      line,
      statement,
      help: "only rows of virtual tables are accepted there, as the sqlite3 shell writes them",
    });
  }
  const module = moduleOf(sql, name);
  if (module === null || !modules.includes(module)) {
    throw new DumpFault(
      module === null
        ? "it writes something other than a virtual table into sqlite_schema"
        : `it has a virtual table of module ${module}, which is not allowed in an import`,
      { line, statement, help: `the modules are ${modules.join(", ")}` },
    );
  }
  return { name, sql, line };
}

/**
 * The values of `INSERT INTO sqlite_schema (…) VALUES (…)`, unquoted; null if it is anything else.
 */
function valuesOf(tokens: readonly Token[]): string[] | null {
  if (!tokenIs(tokens[0], "insert") || !tokenIs(tokens[1], "into")) return null;
  const target = fold(tokens[2]?.value ?? "");
  if (target !== "sqlite_schema" && target !== "sqlite_master") return null;
  let at = 3;
  if (tokenIs(tokens[at], "(")) {
    const columns = itemsOf(tokens, at).map((one) => one.length === 1 ? fold(one[0]!.value) : "");
    if (columns.join(" ") !== COLUMNS) return null;
    at = closingParenthesis(tokens, at) + 1;
  }
  if (!tokenIs(tokens[at], "values") || !tokenIs(tokens[at + 1], "(")) return null;
  if (closingParenthesis(tokens, at + 1) !== tokens.length - 1 || !tokenIs(tokens.at(-1), ")")) {
    return null;
  }
  const values = itemsOf(tokens, at + 1).map(([token, ...others]) =>
    others.length === 0 && (token?.kind === "string" || token?.kind === "number")
      ? token.value
      : null
  );
  return values.every((value) => value !== null) ? values : null;
}

/** The module of `CREATE VIRTUAL TABLE name USING module(…)`; null if the text is anything else. */
function moduleOf(sql: string, name: string): string | null {
  const tokens = tokenize(sql);
  while (tokenIs(tokens.at(-1), ";")) tokens.pop();
  if (
    !tokenIs(tokens[0], "create") || !tokenIs(tokens[1], "virtual") || !tokenIs(tokens[2], "table")
  ) return null;
  let at = 3;
  if (tokenIs(tokens[3], "if") && tokenIs(tokens[4], "not") && tokenIs(tokens[5], "exists")) at = 6;
  const isNamed = fold(tokens[at]?.value ?? "") === fold(name);
  if (!isNamed || !tokenIs(tokens[at + 1], "using")) return null;
  const module = tokens[at + 2];
  if (module?.kind !== "word" && module?.kind !== "quoted") return null;
  const isWhole = tokens.length === at + 3 ||
    (tokenIs(tokens[at + 3], "(") && tokenIs(tokens.at(-1), ")") &&
      closingParenthesis(tokens, at + 3) === tokens.length - 1);
  return isWhole ? fold(module.value) : null;
}

import { closing, fold, is, itemsOf, type Token, tokenize } from "../../sql/tokens.ts";
import { DumpFault } from "./fault.ts";

/** Modules of which a dump may have virtual tables: they keep all that they hold in the database. */
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
  /** Line of the dump on which it is. */
  readonly line: number;
}

const COLUMNS = "type name tbl_name rootpage sql";

/**
 * Reads a statement that writes a row of `sqlite_schema`. Only one form of it can be taken: that in
 * which dumps write a virtual table, whose tables of its own are dumped beside it.
 *
 * @throws {DumpFault} where it is anything else.
 */
export function readVirtualTable(statement: string, line: number): VirtualTable {
  const tokens = tokenize(statement);
  while (is(tokens.at(-1), ";")) tokens.pop();
  const values = valuesOf(tokens);
  const [type, name, table, rootpage, sql] = values ?? [];
  const isForm = type === "table" && name !== undefined && name === table && rootpage === "0" &&
    sql !== undefined && values?.length === 5;
  if (!isForm) {
    throw new DumpFault("it changes sqlite_schema, which an import may not", {
      line,
      statement,
      help:
        "only the rows of virtual tables are taken from there, as the sqlite3 shell writes them",
    });
  }
  const module = moduleOf(sql, name);
  if (module === null || !modules.includes(module)) {
    throw new DumpFault(
      module === null
        ? "it writes something else than a virtual table into sqlite_schema"
        : `it has a virtual table of module ${module}, which an import may not make`,
      { line, statement, help: `the modules are ${modules.join(", ")}` },
    );
  }
  return { name, sql, line };
}

/** The values of `INSERT INTO sqlite_schema (…) VALUES (…)`, bare; null where it is anything else. */
function valuesOf(tokens: readonly Token[]): string[] | null {
  if (!is(tokens[0], "insert") || !is(tokens[1], "into")) return null;
  const target = fold(tokens[2]?.value ?? "");
  if (target !== "sqlite_schema" && target !== "sqlite_master") return null;
  let at = 3;
  if (is(tokens[at], "(")) {
    const columns = itemsOf(tokens, at).map((one) => one.length === 1 ? fold(one[0]!.value) : "");
    if (columns.join(" ") !== COLUMNS) return null;
    at = closing(tokens, at) + 1;
  }
  if (!is(tokens[at], "values") || !is(tokens[at + 1], "(")) return null;
  if (closing(tokens, at + 1) !== tokens.length - 1 || !is(tokens.at(-1), ")")) return null;
  const values = itemsOf(tokens, at + 1).map(([token, ...others]) =>
    others.length === 0 && (token?.kind === "string" || token?.kind === "number")
      ? token.value
      : null
  );
  return values.every((value) => value !== null) ? values : null;
}

/** The module of `CREATE VIRTUAL TABLE name USING module(…)`; null where the text is anything else. */
function moduleOf(sql: string, name: string): string | null {
  const tokens = tokenize(sql);
  while (is(tokens.at(-1), ";")) tokens.pop();
  if (!is(tokens[0], "create") || !is(tokens[1], "virtual") || !is(tokens[2], "table")) return null;
  let at = 3;
  if (is(tokens[3], "if") && is(tokens[4], "not") && is(tokens[5], "exists")) at = 6;
  const isNamed = fold(tokens[at]?.value ?? "") === fold(name);
  if (!isNamed || !is(tokens[at + 1], "using")) return null;
  const module = tokens[at + 2];
  if (module?.kind !== "word" && module?.kind !== "quoted") return null;
  const isWhole = tokens.length === at + 3 ||
    (is(tokens[at + 3], "(") && is(tokens.at(-1), ")") &&
      closing(tokens, at + 3) === tokens.length - 1);
  return isWhole ? fold(module.value) : null;
}

import { quoteName } from "../sql/tokens.ts";
import type { Connection } from "../database/connection.ts";
import { number, text } from "../database/connection.ts";
import { UsageError } from "../base/errors.ts";
import { type Affinity, affinityOf } from "../schema/model.ts";
import { didYouMean } from "../base/suggestion.ts";
import { DumpFault } from "./import/fault.ts";

/** A column into which values are put. */
export interface TargetColumn {
  readonly name: string;
  /** The type as it is declared; empty where none is. */
  readonly type: string;
  readonly affinity: Affinity;
  /** Whether text that is no number is surely a mistake there. */
  readonly wantsNumber: boolean;
  /** Whether SQLite computes it: what the data say of it is left out. */
  readonly isGenerated: boolean;
}

/** A table into which rows are put. */
export interface Target {
  /** Its name as it is declared. */
  readonly table: string;
  readonly columns: readonly TargetColumn[];
  /** Whether what a row's statement does may be more than the row, by a trigger or a virtual table. */
  readonly hasEffects: boolean;
  /** Whether rows may point to others of the same table, which may come later. */
  readonly hasParents: boolean;
}

/** Reads what is to be known of a table. */
export async function readTarget(connection: Connection, wanted: string): Promise<Target> {
  const tables = await connection.all(
    `SELECT name, type, wr AS without_rowid, strict FROM pragma_table_list
    WHERE schema = 'main' AND type IN ('table', 'virtual') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'`,
  );
  const found = tables.find((row) => fold(text(row, "name")) === fold(wanted));
  if (found === undefined) {
    throw unknownTable(connection.label, wanted, tables.map((row) => text(row, "name")));
  }
  const table = text(found, "name");
  const isStrict = number(found, "strict") === 1;
  const rows = await connection.all(
    "SELECT name, type, hidden FROM pragma_table_xinfo(?, 'main') WHERE hidden <> 1 ORDER BY cid",
    [table],
  );
  const columns = rows.map((row) =>
    column(text(row, "name"), text(row, "type"), {
      isStrict,
      isGenerated: number(row, "hidden") !== 0,
    })
  );
  if (number(found, "without_rowid") === 0 && !columns.some(({ name }) => fold(name) === "rowid")) {
    columns.push(column("rowid", "INTEGER", { isStrict, isGenerated: false }));
  }
  const links = await connection.get(
    `SELECT
        EXISTS (
            SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE
        ) AS triggers,
        EXISTS (
            SELECT 1 FROM pragma_foreign_key_list(?1) WHERE "table" = ?1 COLLATE NOCASE
        ) AS parents`,
    [table],
  );
  return {
    table,
    columns,
    hasEffects: links?.["triggers"] === 1 || text(found, "type") === "virtual",
    hasParents: links?.["parents"] === 1,
  };
}

function column(
  name: string,
  type: string,
  { isStrict, isGenerated }: { readonly isStrict: boolean; readonly isGenerated: boolean },
): TargetColumn {
  const affinity = affinityOf(type, isStrict);
  // SQLite calls every other type numeric too, such as DATE or JSON, which hold text.
  const wantsNumber = affinity === "INTEGER" || affinity === "REAL" ||
    (affinity === "NUMERIC" && /NUM|DEC/i.test(type));
  return { name, type, affinity, wantsNumber, isGenerated };
}

function unknownTable(label: string, wanted: string, names: readonly string[]): UsageError {
  return new UsageError(`Cannot import into table "${wanted}": ${label} has none of that name`, {
    help: `${didYouMean(wanted, names)}${
      names.length === 0
        ? "it has no tables; `upgrade` creates them"
        : `its tables are ${names.toSorted().join(", ")}`
    }`,
  });
}

/** Columns of a target by the names that the data use. */
export class ColumnFinder {
  readonly #target: Target;
  readonly #byName: ReadonlyMap<string, TargetColumn>;

  constructor(target: Target) {
    this.#target = target;
    this.#byName = new Map(target.columns.map((one) => [fold(one.name), one]));
  }

  /**
   * The columns of some names.
   *
   * @throws {DumpFault} where one is unknown, or named twice.
   */
  find(names: readonly string[], line: number): readonly TargetColumn[] {
    const columns = names.map((name) => this.#byName.get(fold(name)) ?? this.#refuse(name, line));
    const twice = columns.find((one, index) => columns.indexOf(one) !== index);
    if (twice === undefined) return columns;
    throw new DumpFault(`column "${twice.name}" is there twice`, { line });
  }

  #refuse(name: string, line: number): never {
    const names = this.#target.columns.map((one) => one.name);
    throw new DumpFault(`table "${this.#target.table}" has no column "${shortened(name)}"`, {
      line,
      help: `${didYouMean(name, names)}its columns are ${names.join(", ")}`,
    });
  }
}

/** Characters of the data that a message shows. */
const SHOWN = 40;

/** A text of the data, short enough for a message. */
export function shortened(text: string): string {
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}...` : text;
}

/** A name as SQLite compares it: only ASCII letters are the same in both cases. */
function fold(name: string): string {
  return name.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** The statement that puts so many rows into some columns. What is there is never replaced. */
export function insertSql(
  { table }: Target,
  columns: readonly TargetColumn[],
  rows: number,
): string {
  const into = `INSERT OR ABORT INTO ${quoteName(table)}`;
  if (columns.length === 0) return `${into} DEFAULT VALUES`;
  const names = columns.map(({ name }) => quoteName(name)).join(", ");
  const row = `(${columns.map(() => "?").join(", ")})`;
  return `${into} (${names}) VALUES ${Array.from({ length: rows }, () => row).join(", ")}`;
}

import { type Connection, number } from "../database/connection.ts";
import type { MigrationBody } from "../migration/migration.ts";
import { countRowsOf, readColumns, usersTables } from "../schema/tables.ts";
import { fold, quoteName } from "../sql/tokens.ts";

/** Words of a body that may replace rows with others, so that counting rows is not enough. */
const REPLACES_ROWS = /\b(delete|drop|replace|rebuild\w*)\b/i;

/** Maximum number of rows to copy on a server, whose transactions may have to be short. */
const MOST_ROWS_ON_SERVER = 200_000;

/** Name of the column with the row ids in a copy. */
const ROWID = "copied rowid";

/** A table that was copied before a migration. */
interface CopiedTable {
  readonly name: string;
  /** Name of the copy. */
  readonly copy: string;
  /** Stored columns in order. */
  readonly columns: readonly string[];
  /** Columns of the primary key; empty if there is none. */
  readonly key: readonly string[];
  /** Root page, which distinguishes it from another table with the same name; and whether it has row ids. */
  readonly root: number;
  readonly hasRowid: boolean;
}

/** The losses of a table. */
export interface RowLoss {
  readonly table: string;
  /** Number of lost rows, even if as many others were added. */
  readonly rows: number;
  /** Any other problem, such as swapped columns; null if there is none. */
  readonly fault: string | null;
}

/**
 * Temporary copies of the tables that a migration may delete rows from or rebuild, to compare them with
 * the result by key and column name. They cost as much as a rebuild. A server has no temporary tables,
 * so the copies there are ordinary tables, which are dropped before the commit.
 */
export class RowCopies {
  readonly #connection: Connection;
  readonly #tables: CopiedTable[];
  /** Folded names of the tables before. */
  readonly #former: ReadonlySet<string>;
  readonly #schema: "temp" | "main";
  readonly #isExact: boolean;

  private constructor(
    connection: Connection,
    former: ReadonlySet<string>,
    { tables = [] as CopiedTable[], isExact = false },
  ) {
    this.#connection = connection;
    this.#schema = schemaOf(connection);
    this.#tables = tables;
    this.#former = former;
    this.#isExact = isExact;
  }

  /**
   * Copies the tables that a body names, if it may replace rows. On a server, large tables are not
   * copied, and nothing is copied without a transaction; then only the numbers of rows are compared.
   */
  static async of(connection: Connection, body: MigrationBody): Promise<RowCopies> {
    const source = typeof body === "string" ? body : body.toString();
    const all = await usersTables(connection);
    const former = new Set(all.map(({ name }) => fold(name)));
    const tables: CopiedTable[] = [];
    const { isRemote = false, inTransaction } = connection;
    if (REPLACES_ROWS.test(source) && (!isRemote || inTransaction)) {
      const folded = fold(source);
      let room = isRemote ? MOST_ROWS_ON_SERVER : Infinity;
      for (const { name, type } of all) {
        if (type !== "table" || !folded.includes(fold(name))) continue;
        const rows = isRemote ? await countRowsOf(connection, name) : 0;
        if (rows > room) continue;
        room -= rows;
        tables.push(await copyTable(connection, name, tables.length));
      }
    }
    return new RowCopies(connection, former, { tables });
  }

  /**
   * Copies no table yet. A row with changed values counts as lost, too: unlike a migration, a dump is
   * not reviewed.
   */
  static async exact(connection: Connection): Promise<RowCopies> {
    const former = new Set((await usersTables(connection)).map(({ name }) => fold(name)));
    return new RowCopies(connection, former, { isExact: true });
  }

  /** Copies a table. */
  async add(table: string): Promise<void> {
    this.#tables.push(await copyTable(this.#connection, table, this.#tables.length));
  }

  /** Returns the losses and drops the copies. */
  async compare(): Promise<RowLoss[]> {
    const losses: RowLoss[] = [];
    for (const table of this.#tables) {
      const loss = await this.#compareTable(table);
      if (loss !== null) losses.push(loss);
    }
    for (const { copy } of this.#tables) {
      await this.#connection.exec(`DROP TABLE ${this.#schema}.${quoteName(copy)}`);
    }
    return losses;
  }

  async #compareTable(before: CopiedTable): Promise<RowLoss | null> {
    const { name } = before;
    const after = await shapeOf(this.#connection, name);
    if (after !== null) return await this.#lossIn(before, name, after);
    // Renamed or moved: its rows are in a new table.
    const known = new Set([...this.#former, ...this.#tables.map(({ copy }) => copy)]);
    const others = (await usersTables(this.#connection))
      .filter((one) => one.type === "table" && !known.has(fold(one.name)));
    for (const other of others) {
      const shape = await shapeOf(this.#connection, other.name);
      if (shape === null || common(before, shape).length === 0) continue;
      if (await this.#lossIn(before, other.name, shape) === null) return null;
    }
    const rows = await this.#count(`${this.#schema}.${quoteName(before.copy)}`);
    return lossOf(name, rows);
  }

  /** The rows and values of a copied table that are missing from a table now; null if there are none. */
  async #lossIn(before: CopiedTable, name: string, after: Shape): Promise<RowLoss | null> {
    const copy = `${this.#schema}.${quoteName(before.copy)}`;
    const now = `main.${quoteName(name)}`;
    const columns = common(before, after);
    const isRebuilt = before.root !== after.root;
    const match = matchOf(before, after, isRebuilt);
    if (this.#isExact && columns.length < before.columns.length) {
      const rows = await this.#count(copy);
      return lossOf(before.name, rows);
    }
    if (columns.length === 0) return null; // dropped columns are reported elsewhere
    if (match === null || this.#isExact) {
      const list = columns.map(quoteName).join(", ");
      const rows = await this.#count(
        `(SELECT ${list} FROM ${copy} EXCEPT SELECT ${list} FROM ${now})`,
      );
      return lossOf(before.name, rows);
    }
    const rows = await this.#count(
      `${copy} AS o WHERE NOT EXISTS (SELECT 1 FROM ${now} AS n WHERE ${match})`,
    );
    const fault = rows === 0 && isRebuilt
      ? await this.#faultIn(columns, `${copy} AS o JOIN ${now} AS n ON ${match}`)
      : null;
    return lossOf(before.name, rows, fault);
  }

  /** Finds a column that has the values of another one, or none, as after a copy by position. */
  async #faultIn(columns: readonly string[], rows: string): Promise<string | null> {
    for (const column of columns) {
      const [o, n] = [`o.${quoteName(column)}`, `n.${quoteName(column)}`];
      if (!await this.#exists(`${rows} WHERE ${n} IS NOT ${o}`)) continue;
      const gone = await this.#count(
        `${rows} WHERE ${n} IS NULL AND ${o} IS NOT NULL AND ${o} <> ''`,
      );
      if (gone > 0) return `column "${column}" loses ${gone} ${gone === 1 ? "value" : "values"}`;
      for (const other of columns) {
        if (other === column) continue;
        if (await this.#exists(`${rows} WHERE ${n} IS NOT o.${quoteName(other)}`)) continue;
        return `column "${column}" gets the values of "${other}"`;
      }
    }
    return null;
  }

  async #count(rows: string): Promise<number> {
    const found = await this.#connection.get(`SELECT count(*) AS rows FROM ${rows}`);
    return found === undefined ? 0 : number(found, "rows");
  }

  async #exists(rows: string): Promise<boolean> {
    return await this.#connection.get(`SELECT 1 FROM ${rows} LIMIT 1`) !== undefined;
  }
}

function lossOf(table: string, rows: number, fault: string | null = null): RowLoss | null {
  return rows === 0 && fault === null ? null : { table, rows, fault };
}

/** Schema that contains the copies. */
function schemaOf({ isRemote = false }: Connection): "temp" | "main" {
  return isRemote ? "main" : "temp";
}

type Shape = Omit<CopiedTable, "name" | "copy">;

/** Columns and key of a table; null if it does not exist. */
async function shapeOf(connection: Connection, table: string): Promise<Shape | null> {
  const found = await connection.get(
    `SELECT rootpage, wr FROM main.sqlite_schema JOIN pragma_table_list AS list
      ON list.schema = 'main' AND list.name = sqlite_schema.name
    WHERE sqlite_schema.type = 'table' AND sqlite_schema.name = ? COLLATE NOCASE`,
    [table],
  );
  if (found === undefined) return null;
  const columns = (await readColumns(connection, table)).filter(({ kind }) => kind === "ordinary");
  return {
    columns: columns.map(({ name }) => name),
    key: columns.filter(({ primaryKey }) => primaryKey > 0).map(({ name }) => name),
    root: number(found, "rootpage"),
    hasRowid: number(found, "wr") === 0 &&
      !columns.some(({ name }) => fold(name) === "rowid"),
  };
}

async function copyTable(
  connection: Connection,
  name: string,
  index: number,
): Promise<CopiedTable> {
  const shape = await shapeOf(connection, name);
  const { columns, key, root, hasRowid } = shape ??
    { columns: [], key: [], root: 0, hasRowid: false };
  const copy = `catalyst_copy_${index}`;
  const values = [
    ...columns.map(quoteName),
    ...hasRowid ? [`rowid AS ${quoteName(ROWID)}`] : [],
  ];
  await connection.exec(
    `CREATE TABLE ${schemaOf(connection)}.${quoteName(copy)} AS SELECT ${
      values.join(", ")
    } FROM main.${quoteName(name)}`,
  );
  return { name, copy, columns, key, root, hasRowid };
}

function common(before: Pick<Shape, "columns">, after: Pick<Shape, "columns">): string[] {
  const there = new Set(after.columns.map(fold));
  return before.columns.filter((name) => there.has(fold(name)));
}

/** The condition that identifies equal rows; null if only all values together can. */
function matchOf(before: CopiedTable, after: Shape, isRebuilt: boolean): string | null {
  const there = new Set(after.columns.map(fold));
  if (before.key.length > 0 && before.key.every((name) => there.has(fold(name)))) {
    return before.key.map((name) => `n.${quoteName(name)} IS o.${quoteName(name)}`).join(" AND ");
  }
  if (isRebuilt || !before.hasRowid || !after.hasRowid) return null;
  // SQLite may reuse the row id of a deleted row; then no value is the same.
  const same = common(before, after)
    .map((name) => `n.${quoteName(name)} IS o.${quoteName(name)}`);
  return `n.rowid = o.${quoteName(ROWID)} AND (${same.join(" OR ")})`;
}

/** Random databases with all features of SQLite, and files created from them. */
import fc from "fast-check";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { type Cell, cells, plainCells, tameCells } from "./cells.ts";

/** A database to create. */
export interface Recipe {
  readonly encoding: "UTF-8" | "UTF-16le" | "UTF-16be";
  readonly pageSize: number;
  readonly autoVacuum: number;
  readonly userVersion: number;
  readonly applicationId: number;
  readonly tables: readonly TableRecipe[];
  readonly views: readonly string[];
  readonly virtual: readonly string[];
  /** Words for virtual tables. */
  readonly words: readonly string[];
  readonly isAnalyzed: boolean;
}

/** A table to create, and its rows; its constraints may refuse some of them. */
export interface TableRecipe {
  readonly name: string;
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  readonly kind: "plain" | "integer key" | "autoincrement" | "text key" | "without rowid";
  readonly isStrict: boolean;
  readonly generated: "none" | "VIRTUAL" | "STORED";
  readonly constraints: readonly string[];
  readonly indexes: readonly string[];
  readonly hasTrigger: boolean;
  readonly rows: readonly RowRecipe[];
  /** How far the `AUTOINCREMENT` counter is above the highest row id. */
  readonly mark: bigint;
}

interface RowRecipe {
  readonly rowid: bigint;
  readonly cells: readonly Cell[];
}

/** What a recipe may contain. */
export interface RecipeOptions {
  /** Only what the `sqlite3` shell writes exactly. */
  readonly isPlain?: boolean;
  /** Only tables in which no trigger changes anything. */
  readonly isRowsOnly?: boolean;
}

const ODD_NAMES = [
  ...["order", "SELECT", "rowid", "oid", "_rowid_", "key", "a b", 'say "hi"', "it's", "50%", "%s"],
  ...["line\nbreak", "carriage\rreturn", "tab\t", "é", "表", "🙂", "semi;colon", "--", "/* x */"],
  ...["[", "]", "`", "\\", "?1", ":a", "$b", "1", "x'00'", "NULL", "__proto__", "constructor", " "],
  ...["hex", "t0", "v0", "text", "first", "last", "excluded", ".", "..", "\uFEFFmark", "\uFFFD"],
];

const names = fc.oneof(
  { weight: 2, arbitrary: fc.constantFrom("a", "b", "c", "d", "notes", "data", "value") },
  { weight: 2, arbitrary: fc.constantFrom(...ODD_NAMES) },
  {
    weight: 1,
    arbitrary: fc.string({ unit: "grapheme", minLength: 1, maxLength: 6 })
      .filter((name) => !/\0|\r\n|^sqlite_/i.test(name)),
  },
);

const TYPES = [
  ...["", "", "INTEGER", "INT", "BIGINT", "TEXT", "TEXT", "VARCHAR(20)", "REAL", "REAL"],
  ...["DOUBLE PRECISION", "NUMERIC", "DECIMAL(10, 2)", "BLOB", "ANY", "DATE", "BOOLEAN"],
];
const FOREIGN_KEY =
  'CONSTRAINT "odd name" FOREIGN KEY ($0) REFERENCES "nowhere" ON DELETE SET NULL';
const STRICT_TYPES = ["INT", "INTEGER", "REAL", "TEXT", "BLOB", "ANY"];

const EXTREME_ROWIDS = [
  ...[-(2n ** 63n), 2n ** 63n - 1n, 2n ** 63n - 2n, -1n, 0n, 2n ** 53n + 1n, -(2n ** 53n) - 1n],
];
const rowids = fc.oneof(
  { weight: 1, arbitrary: fc.constantFrom(...EXTREME_ROWIDS) },
  { weight: 3, arbitrary: fc.bigInt({ min: 1n, max: 50n }) },
  { weight: 1, arbitrary: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }) },
);

function tables({ isPlain, isRowsOnly }: RecipeOptions): fc.Arbitrary<TableRecipe> {
  return fc.record({
    cell: isPlain ? fc.constant(plainCells) : fc.constantFrom(cells, tameCells),
    isStrict: fc.nat(4).map((number) => number === 0),
    size: fc.oneof(
      { weight: 12, arbitrary: fc.integer({ min: 1, max: 6 }) },
      { weight: 1, arbitrary: fc.constantFrom(99, 100, 101, 150) },
    ),
  }).chain(({ cell, isStrict, size }) => {
    // Invalid text is read back from rows as a blob, which such a column does not accept.
    const strictTypes = STRICT_TYPES.filter((type) => !isRowsOnly || type !== "TEXT");
    const types = isStrict ? strictTypes : TYPES;
    const column = fc.record({ name: names, type: fc.constantFrom(...types) });
    const columns = size < 10
      ? fc.uniqueArray(column, {
        minLength: 1,
        maxLength: size,
        selector: ({ name }) => fold(name),
      })
      : fc.array(fc.constantFrom(...types), { minLength: size, maxLength: size })
        .map((all) => all.map((type, index) => ({ name: `c${index}`, type })));
    return columns.chain((columns) => {
      const row = fc.record({
        rowid: rowids,
        cells: fc.tuple(...columns.map(({ type }) => isStrict ? fittingCells(cell, type) : cell)),
      });
      return fc.record({
        name: names,
        columns: fc.constant(columns),
        kind: fc.constantFrom(
          ...["plain", "plain", "integer key", "autoincrement", "text key"] as const,
          "without rowid",
        ),
        isStrict: fc.constant(isStrict),
        generated: fc.constantFrom("none", "none", "VIRTUAL", "STORED"),
        constraints: fc.subarray([
          ...isRowsOnly ? [] : [FOREIGN_KEY],
          "CHECK ($0 IS NOT 'forbidden')",
          "UNIQUE ($0)",
          "/* a comment; ' */ CHECK (typeof($0) <> 'x''y')",
        ]),
        indexes: fc.subarray([
          "($0 DESC)",
          "($0 COLLATE NOCASE, $last)",
          "(typeof($0) || 'it''s', $0)",
          "($last) WHERE $0 IS NOT NULL",
          "($0 COLLATE RTRIM DESC) WHERE $last > 'a;' -- why ' not",
        ], { maxLength: isRowsOnly ? 1 : 5 }),
        hasTrigger: isRowsOnly ? fc.constant(false) : fc.boolean(),
        rows: size < 10 ? fc.array(row, { maxLength: 12 }) : fc.array(row, { maxLength: 3 }),
        mark: fc.constantFrom(0n, 0n, 7n, 2n ** 60n),
      });
    });
  });
}

/** A STRICT table would refuse most random rows. */
function fittingCells(cell: fc.Arbitrary<Cell>, type: string): fc.Arbitrary<Cell> {
  const wanted: Readonly<Record<string, string>> = {
    INT: "integer",
    INTEGER: "integer",
    REAL: "real",
    TEXT: "text",
    BLOB: "blob",
  };
  const only = wanted[type];
  return only === undefined ? cell : cell.filter(({ type }) => type === only || type === "null");
}

const VIRTUAL = [
  `CREATE VIRTUAL TABLE "fts 1" USING fts5(title, "body text", tokenize = 'porter');
  INSERT INTO "fts 1" (rowid, title, "body text") SELECT id, word, word || ' it''s' FROM words;
  DELETE FROM "fts 1" WHERE rowid = 2`,
  `CREATE TABLE docs (id INTEGER PRIMARY KEY, title, body);
  INSERT INTO docs SELECT id, word, word FROM words;
  CREATE VIRTUAL TABLE found USING fts5(title, body, content = 'docs', content_rowid = 'id');
  INSERT INTO found (found) VALUES ('rebuild')`,
  `CREATE VIRTUAL TABLE contentless USING fts5(body, content = '');
  INSERT INTO contentless (rowid, body) SELECT id, word FROM words`,
  `CREATE VIRTUAL TABLE "old" USING fts4(body);
  INSERT INTO "old" SELECT word FROM words`,
  `CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1, y0, y1, +label);
  INSERT INTO boxes SELECT id, id, id + 0.1, -id, id * 3, word FROM words`,
];

const VIEWS = [
  "CREATE VIEW outer_view AS SELECT * FROM inner_view",
  "CREATE VIEW inner_view (x) AS SELECT word || '--' FROM words /* who; knows */",
  `CREATE TRIGGER on_view INSTEAD OF INSERT ON inner_view
  BEGIN
    INSERT INTO words (word) VALUES (new.x || ';');
  END`,
];

/** Any database. */
export function recipes(options: RecipeOptions = {}): fc.Arbitrary<Recipe> {
  const { isPlain, isRowsOnly } = options;
  return fc.record({
    encoding: isPlain
      ? fc.constant("UTF-8" as const)
      : fc.constantFrom("UTF-8", "UTF-8", "UTF-8", "UTF-16le", "UTF-16be"),
    pageSize: fc.constantFrom(512, 1024, 4096, 8192, 65536),
    autoVacuum: fc.constantFrom(0, 0, 1, 2),
    userVersion: fc.constantFrom(0, 3, -1, 2147483647, -2147483648),
    applicationId: fc.constantFrom(0, 1, -1, 0x47504b47),
    tables: fc.uniqueArray(tables(options), {
      minLength: isRowsOnly ? 1 : 0,
      maxLength: 3,
      selector: ({ name }) => fold(name),
    }),
    views: isRowsOnly ? fc.constant([]) : fc.constantFrom([], VIEWS.slice(0, 2), VIEWS),
    virtual: isRowsOnly ? fc.constant([]) : fc.subarray(VIRTUAL, { maxLength: 2 }),
    words: fc.array(fc.string({ unit: "grapheme", maxLength: 9 }).filter(isSimple), {
      maxLength: 8,
    }),
    isAnalyzed: isRowsOnly ? fc.constant(false) : fc.boolean(),
  });
}

function isSimple(text: string): boolean {
  return !/[\0\uFFFE\uFFFF]/.test(text);
}

function fold(name: string): string {
  return name.toLowerCase();
}

/** A name in double quotes. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Creates the database file of a recipe. */
export function build(path: string, recipe: Recipe): void {
  using db = new DatabaseSync(path, { enableForeignKeyConstraints: false });
  db.exec(
    `PRAGMA page_size = ${recipe.pageSize};
    PRAGMA encoding = '${recipe.encoding}';
    PRAGMA auto_vacuum = ${recipe.autoVacuum};
    PRAGMA synchronous = OFF;
    PRAGMA journal_mode = MEMORY;
    BEGIN;
    PRAGMA user_version = ${recipe.userVersion};
    PRAGMA application_id = ${recipe.applicationId};`,
  );
  const hasWords = recipe.views.length > 0 || recipe.virtual.length > 0;
  if (hasWords) {
    db.exec("CREATE TABLE words (id INTEGER PRIMARY KEY, word TEXT)");
    const insert = db.prepare("INSERT INTO words (word) VALUES (?)");
    for (const word of recipe.words) insert.run(word);
  }
  recipe.tables.forEach((table, index) => {
    // Its name may be that of another object.
    try {
      db.exec(createTable(table));
    } catch (error) {
      if (error instanceof Error && /already/.test(error.message)) return;
      throw error;
    }
    fill(db, table);
    table.indexes.forEach((on, number) =>
      db.exec(
        `CREATE INDEX ${quoted(`index ${index}.${number}`)} ON ${quoted(table.name)} ${
          withColumns(on, table)
        }`,
      )
    );
    if (table.hasTrigger) {
      db.exec(
        `CREATE TRIGGER ${quoted(`${table.name} trigger`)} AFTER INSERT ON ${quoted(table.name)}
        WHEN new.${quoted(table.columns[0]?.name ?? "")} = ';'
        BEGIN
          SELECT CASE WHEN 1 THEN 'END;' END; -- not yet
          DELETE FROM ${quoted(table.name)};
        END`,
      );
    }
  });
  for (const sql of [...recipe.virtual, ...recipe.views]) db.exec(sql);
  db.exec(recipe.isAnalyzed ? "COMMIT; ANALYZE" : "COMMIT");
}

function withColumns(sql: string, { columns }: TableRecipe): string {
  const first = quoted(columns[0]?.name ?? "");
  const last = quoted(columns.at(-1)?.name ?? "");
  return sql.replaceAll("$0", () => first).replaceAll("$last", () => last);
}

/** Name of the key that some kinds of tables have in addition to their columns. */
const KEY = "the key";

function createTable(table: TableRecipe): string {
  const { kind, columns, isStrict } = table;
  const lines = columns.map(({ name, type }) => `${quoted(name)} ${type}`);
  if (kind === "integer key") lines.splice(1, 0, `"${KEY}" INTEGER PRIMARY KEY`);
  if (kind === "autoincrement") lines.unshift(`"${KEY}" INTEGER PRIMARY KEY AUTOINCREMENT`);
  if (kind === "text key") lines.push(`"${KEY}" TEXT PRIMARY KEY`);
  if (kind === "without rowid") lines.push(`"${KEY}" INTEGER NOT NULL`);
  const first = quoted(columns[0]?.name ?? "");
  if (table.generated !== "none") {
    // The name refers to the row id, unless a column has it.
    const isTaken = columns.some(({ name }) => fold(name) === "oid");
    const name = isTaken ? "computed" : "oid";
    lines.push(`"${name}" TEXT AS (typeof(${first}) || '%') ${table.generated} /* -- computed */`);
  }
  if (kind === "without rowid") {
    lines.push(`PRIMARY KEY (${first} COLLATE NOCASE DESC, "${KEY}" DESC)`);
  }
  lines.push(...table.constraints.map((one) => withColumns(one, table)));
  const options = [
    ...kind === "without rowid" ? ["WITHOUT ROWID"] : [],
    ...isStrict ? ["STRICT"] : [],
  ];
  return `CREATE TABLE ${quoted(table.name)} (\n  ${lines.join(",\n  ")}\n) ${options.join(", ")}`;
}

function fill(db: DatabaseSync, table: TableRecipe): void {
  const { kind, columns } = table;
  const taken = new Set(columns.map(({ name }) => fold(name)));
  if (table.generated !== "none") taken.add("oid");
  const rowid = ["rowid", "_rowid_", "oid"].find((name) => !taken.has(name));
  const key = kind === "plain" ? rowid : KEY;
  const into = columns.map(({ name }) => quoted(name));
  if (key !== undefined) into.unshift(quoted(key));
  for (const { rowid, cells } of table.rows) {
    const values = cells.map(({ sql }) => sql);
    if (key !== undefined) values.unshift(kind === "text key" ? `'${rowid}'` : String(rowid));
    let insert: StatementSync;
    try {
      insert = db.prepare(
        `INSERT INTO ${quoted(table.name)} (${into.join(", ")}) VALUES (${values.join(", ")})`,
      );
      insert.run(...cells.flatMap(({ bound }) => bound === undefined ? [] : [bound]));
    } catch (error) {
      const { message } = error as Error;
      if (!/constraint failed|cannot store|datatype mismatch|is full/.test(message)) throw error;
    }
  }
  if (kind !== "autoincrement" || table.mark === 0n) return;
  db.prepare("DELETE FROM sqlite_sequence WHERE name = ?").run(table.name);
  db.prepare("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)").run(table.name, table.mark);
}

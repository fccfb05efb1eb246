import type { CatalystError } from "../base/errors.ts";
import { formatCount } from "../base/format.ts";
import { howToDeclare, type Migration } from "../migration/migration.ts";
import { compareSchemas } from "../schema/compare.ts";
import type { Difference, Schema, TableSchema } from "../schema/model.ts";
import { fold } from "../sql/tokens.ts";
import type { TableContent } from "./content.ts";
import type { RehearsalDatabase, RehearsedRun } from "./rehearsal_database.ts";
import type {
  RehearsalNotice,
  RehearsedMigration,
  Surprise,
  SurpriseCode,
  TimedStatement,
} from "./rehearse_result.ts";

/** A table that was changed, or may have been. */
interface ComparedTable {
  readonly name: string;
  /** Its schema before; null if it is new. */
  readonly schema: TableSchema | null;
  /** Columns whose values may have changed, folded. */
  readonly columns: readonly string[];
  readonly before: TableContent | null;
  readonly after: TableContent | null;
  readonly changed: boolean;
  /** Its content after the downgrade; null before that, or if it no longer exists. */
  restored: TableContent | null;
  isRestored: boolean | null;
}

/** Details of a surprise. */
interface SurpriseDetails extends Pick<Surprise, "table" | "reason" | "fix"> {
  /** Whether the migration declares that it destroys the rows. Default `false`. */
  readonly isDeclared?: boolean;
}

/** Follows one migration up, down and up again, and finds surprises. */
export class RehearsalComparison {
  readonly migration: Migration;
  readonly up: RehearsedRun;
  readonly surprises: Surprise[] = [];
  readonly notices: RehearsalNotice[] = [];
  #downgradeSeconds: number | null = null;
  readonly #tables = new Map<string, ComparedTable>();
  readonly #before: ReadonlyMap<string, TableSchema>;

  private constructor(migration: Migration, up: RehearsedRun) {
    this.migration = migration;
    this.up = up;
    this.#before = byName(up.before);
  }

  /** Examines the result of the upgrade, right after it. */
  static async begin(
    migration: Migration,
    database: RehearsalDatabase,
    up: RehearsedRun,
  ): Promise<RehearsalComparison> {
    const one = new RehearsalComparison(migration, up);
    await one.#compare(database);
    return one;
  }

  /** What was found out about the migration. */
  get report(): RehearsedMigration {
    const { id, name, database, source, upgrade, transaction } = this.migration;
    const { lockedSeconds, statements } = this.up.recording;
    const longest = statements.reduce((most, { seconds }) => Math.max(most, seconds), 0);
    const offset = source?.upgradeLine ?? 1;
    return {
      ...{ id, name, database },
      seconds: this.up.seconds,
      lockedSeconds: transaction === false ? longest : lockedSeconds ?? 0,
      rowsTouched: this.up.rows,
      statements: slowest(statements).map(({ line, ...statement }) => ({
        ...statement,
        line: typeof upgrade === "string" && line !== null ? line + offset - 1 : null,
      })),
      downgradeSeconds: this.#downgradeSeconds,
      tables: [...this.#tables.values()].map((one) => ({
        name: one.name,
        rowsBefore: one.before?.rows ?? null,
        rowsAfter: one.after?.rows ?? null,
        changed: one.changed,
        rowsRestored: one.restored?.rows ?? null,
        restored: one.isRestored,
      })),
      surprises: this.surprises,
    };
  }

  /** Examines the result of the downgrade, right after it. */
  async back(database: RehearsalDatabase, down: RehearsedRun | CatalystError): Promise<void> {
    if (!("recording" in down)) return this.#fail("downgrade-fails", down, "its downgrade fails");
    this.#downgradeSeconds = down.seconds;
    const there = byName(down.after);
    const others = new Map<string, ColumnContent>();
    for (const [key, schema] of this.#before) {
      // What the upgrade changed is compared with the state before it.
      const known = this.#tables.get(key)?.columns ?? [];
      const changedColumns = namesOf(schema).filter((name) =>
        down.changedColumns.get(key)?.has(name) && !known.includes(name)
      );
      if (changedColumns.length === 0) continue;
      const left = namesOf(there.get(key));
      const columns = changedColumns.filter((name) => left.includes(name));
      others.set(key, { columns, content: await database.readFormer({ table: key, columns }) });
    }
    await database.settle();
    for (const [key, schema] of this.#before) {
      const other = others.get(key);
      const isSame = other === undefined ||
        isEqual(other.content, await database.read({ table: key, columns: other.columns }));
      const known = this.#tables.get(key);
      if (known === undefined && isSame) continue;
      const subject = known ?? unchanged(schema, other?.content ?? null);
      this.#tables.set(key, subject);
      const left = namesOf(there.get(key));
      const isWhole = subject.columns.every((name) => left.includes(name));
      subject.restored = await database.read({
        table: key,
        columns: isWhole ? subject.columns : [],
      });
      subject.isRestored = isSame && isWhole && isEqualOn(subject, subject.restored);
      if (!subject.isRestored) this.#compareRows(subject);
    }
    this.#compareSchemas("downgrade-differs", {
      differences: compareSchemas(this.up.before, down.after),
      what: "its downgrade does not restore the schema",
    });
  }

  /** Examines the result of the second upgrade, right after it. */
  async again(database: RehearsalDatabase, again: RehearsedRun | CatalystError): Promise<void> {
    if (!("recording" in again)) {
      const what = "it can't be applied again after its downgrade";
      return this.#fail("second-upgrade-fails", again, what);
    }
    for (const [key, { name, after }] of this.#tables) {
      const content = after === null ? null : await database.read({ table: key, columns: [] });
      if (content === null || content.rows === after?.rows) continue;
      this.#add("second-upgrade-differs", {
        table: name,
        reason: `applied again after its downgrade, it leaves ${rowsIn(content.rows, name)}, but ` +
          `the first time it left ${after?.rows}`,
        fix: FIX_DOWNGRADE,
      });
    }
    this.#compareSchemas("second-upgrade-differs", {
      differences: compareSchemas(this.up.after, again.after),
      what: "applied again after its downgrade, it creates a different schema",
    });
  }

  async #compare(database: RehearsalDatabase): Promise<void> {
    const { after, changedColumns } = this.up;
    const there = byName(after);
    const commons = new Map<string, ColumnContent>();
    for (const [key, schema] of this.#before) {
      const columns = namesOf(schema).filter((name) => changedColumns.get(key)?.has(name));
      if (columns.length === 0) continue;
      const before = await database.readFormer({ table: key, columns });
      const left = namesOf(there.get(key));
      const common = columns.filter((name) => left.includes(name));
      commons.set(key, {
        columns: common,
        content: common.length === columns.length
          ? before
          : await database.readFormer({ table: key, columns: common }),
      });
      this.#tables.set(key, { ...unchanged(schema, before), columns, after: null });
    }
    await database.settle();
    for (const [key, { columns, content }] of commons) {
      const subject = this.#tables.get(key);
      const now = await database.read({ table: key, columns });
      if (subject === undefined || now === null) continue;
      this.#tables.set(key, { ...subject, after: now, changed: !isEqual(content, now) });
    }
    for (const [key, schema] of there) {
      if (this.#before.has(key)) continue;
      const now = await database.read({ table: key, columns: [] });
      this.#tables.set(key, { ...unchanged(schema, null), schema: null, after: now });
    }
  }

  #compareRows({ name, schema, columns, before, restored }: ComparedTable): void {
    const isDeclared = (this.migration.destroys ?? []).some((one) => fold(one) === fold(name));
    const rows = before?.rows ?? 0;
    if (restored === null) {
      if (rows === 0) return; // the comparison of schemas reports it
      this.#add("rows-lost", {
        table: name,
        reason:
          `its downgrade removes table "${name}" with ${formatCount(rows, "row")} that existed ` +
          "before the upgrade",
        fix: KEEP_ROWS,
        isDeclared,
      });
    } else if (rows !== restored.rows) {
      const isLess = restored.rows < rows;
      this.#add(isLess ? "rows-lost" : "rows-left", {
        table: name,
        reason:
          `after its downgrade there ${restored.rows === 1 ? "is" : "are"} ${
            rowsIn(restored.rows, name)
          }, but before the ` +
          `upgrade there ${rows === 1 ? "was" : "were"} ${rows}`,
        fix: isLess
          ? KEEP_ROWS
          : "let the downgrade delete the rows that the upgrade inserts, and declare it: " +
            howToDeclare([name]),
        isDeclared: isDeclared && isLess,
      });
    } else if (rows > 0) {
      const isAll = columns.length === 0 || columns.length === schema?.columns.length;
      const what = isAll ? "rows" : `values of ${columns.join(", ")}`;
      this.#add("values-lost", {
        table: name,
        reason:
          `its downgrade does not restore the ${what} of table "${name}", or changes their order`,
        fix: KEEP_ROWS,
        isDeclared,
      });
    }
  }

  #compareSchemas(
    code: SurpriseCode,
    { differences, what }: { readonly differences: readonly Difference[]; readonly what: string },
  ): void {
    const [first] = differences;
    if (first === undefined) return;
    const details = differences.map(({ table, type, detail }) =>
      table === null || type === "table" && detail.includes(table) ? detail : `${table}: ${detail}`
    );
    this.#add(code, {
      table: differences.every(({ table }) => table === first.table) ? first.table : null,
      reason: `${what}: ${details.join("; ")}`,
      fix: FIX_DOWNGRADE,
    });
  }

  #fail(code: SurpriseCode, error: CatalystError, what: string): void {
    this.#add(code, {
      table: null,
      reason: `${what}: ${error.message}`,
      fix: error.help ?? "fix the migration",
    });
  }

  #add(code: SurpriseCode, { isDeclared = false, ...fault }: SurpriseDetails): void {
    const { name, database, allows = [] } = this.migration;
    const { table, reason } = fault;
    const allowed = allows.find((one) => one.code === "downgrade-differs");
    if (isDeclared) {
      this.notices.push({
        migration: name,
        reason: `${reason}; it declares to destroy rows of ${table}`,
      });
    } else if (allowed !== undefined && OF_DOWNGRADE.has(code)) {
      this.notices.push({
        migration: name,
        reason: `${reason}; this is intended: ${allowed.reason}`,
      });
    } else this.surprises.push({ code, migration: name, database, ...fault });
  }
}

/** Codes covered by `-- lint:allow downgrade-differs`. */
const OF_DOWNGRADE: ReadonlySet<SurpriseCode> = new Set<SurpriseCode>([
  "downgrade-differs",
  "rows-lost",
  "rows-left",
  "values-lost",
  "second-upgrade-fails",
  "second-upgrade-differs",
]);

const FIX_DOWNGRADE = "fix the downgrade so that it reverts everything that the upgrade does";

const KEEP_ROWS = "let the upgrade keep what the downgrade needs in a separate table or " +
  "column; or leave out the downgrade, and use a snapshot to go back";

/** The content of a table, for comparison. */
interface ColumnContent {
  readonly columns: readonly string[];
  readonly content: TableContent | null;
}

function unchanged(schema: TableSchema, content: TableContent | null): ComparedTable {
  return {
    name: schema.name,
    schema,
    columns: [],
    before: content,
    after: content,
    changed: false,
    restored: null,
    isRestored: null,
  };
}

function byName({ tables }: Schema): Map<string, TableSchema> {
  return new Map(
    tables.filter(({ virtual }) => !virtual).map((table) => [fold(table.name), table]),
  );
}

function namesOf(table: TableSchema | undefined): string[] {
  return table?.columns.map(({ name }) => fold(name)) ?? [];
}

function isEqual(one: TableContent | null, other: TableContent | null): boolean {
  return one?.rows === other?.rows && one?.digest === other?.digest;
}

/** The rows of a table that only the downgrade changed were read separately. */
function isEqualOn({ columns, before }: ComparedTable, restored: TableContent | null): boolean {
  return columns.length === 0 ? before?.rows === restored?.rows : isEqual(before, restored);
}

function rowsIn(rows: number, table: string): string {
  return `${rows} ${rows === 1 ? "row" : "rows"} in table "${table}"`;
}

/** Maximum number of a migration's statements that are reported. */
const REPORTED = 100;

function slowest(statements: readonly TimedStatement[]): readonly TimedStatement[] {
  if (statements.length <= REPORTED) return statements;
  const limit = statements.map(({ seconds }) => seconds).toSorted((a, b) => b - a)[REPORTED - 1] ??
    0;
  return statements.filter(({ seconds }) => seconds >= limit).slice(0, REPORTED);
}

import type { CatalystError } from "../base/errors.ts";
import type { Migration } from "../migration/migration.ts";
import { compareSchemas } from "../schema/compare.ts";
import type { Difference, Schema, TableSchema } from "../schema/model.ts";
import { fold } from "../sql/tokens.ts";
import type { TableContent } from "./content.ts";
import type { RehearsalNotice, RehearsedTable, Surprise, SurpriseCode } from "./result.ts";
import type { Stage, Step } from "./stage.ts";

/** A table that was changed, or may have been. */
interface Subject {
  readonly name: string;
  /** As it was before; null where it is new. */
  readonly schema: TableSchema | null;
  /** Columns whose values may have changed, folded. */
  readonly columns: readonly string[];
  readonly before: TableContent | null;
  readonly after: TableContent | null;
  readonly changed: boolean;
  /** What the way back gave; null before it, or where the table is gone. */
  restored: TableContent | null;
  isRestored: boolean | null;
}

/** What a surprise says. */
interface Fault extends Pick<Surprise, "table" | "reason" | "fix"> {
  /** Whether the migration declares that it destroys the rows. Default `false`. */
  readonly isDeclared?: boolean;
}

/** Follows one migration up, down and up again, and says what is not as it should be. */
export class Case {
  readonly migration: Migration;
  readonly up: Step;
  readonly surprises: Surprise[] = [];
  readonly notices: RehearsalNotice[] = [];
  downgradeSeconds: number | null = null;
  readonly #subjects = new Map<string, Subject>();
  readonly #before: ReadonlyMap<string, TableSchema>;

  private constructor(migration: Migration, up: Step) {
    this.migration = migration;
    this.up = up;
    this.#before = byName(up.before);
  }

  /** Looks at what the way up did, right after it. */
  static async begin(migration: Migration, stage: Stage, up: Step): Promise<Case> {
    const one = new Case(migration, up);
    await one.#compare(stage);
    return one;
  }

  /** The tables that it made or of which it wrote rows, and those that did not come back. */
  get tables(): readonly RehearsedTable[] {
    return [...this.#subjects.values()].map((one) => ({
      name: one.name,
      rowsBefore: one.before?.rows ?? null,
      rowsAfter: one.after?.rows ?? null,
      changed: one.changed,
      rowsRestored: one.restored?.rows ?? null,
      restored: one.isRestored,
    }));
  }

  /** Looks at what the way back did, right after it. */
  async back(stage: Stage, down: Step | CatalystError): Promise<void> {
    if (!("observed" in down)) return this.#fail("downgrade-fails", down, "its downgrade fails");
    this.downgradeSeconds = down.seconds;
    const there = byName(down.after);
    const others = new Map<string, Comparison>();
    for (const [key, schema] of this.#before) {
      // What the way up has touched is compared with what was there before that.
      const known = this.#subjects.get(key)?.columns ?? [];
      const touched = namesOf(schema).filter((name) =>
        down.touched.get(key)?.has(name) && !known.includes(name)
      );
      if (touched.length === 0) continue;
      const left = namesOf(there.get(key));
      const columns = touched.filter((name) => left.includes(name));
      others.set(key, { columns, content: await stage.readFormer({ table: key, columns }) });
    }
    await stage.settle();
    for (const [key, schema] of this.#before) {
      const other = others.get(key);
      const isSame = other === undefined ||
        isEqual(other.content, await stage.read({ table: key, columns: other.columns }));
      const known = this.#subjects.get(key);
      if (known === undefined && isSame) continue;
      const subject = known ?? unchanged(schema, other?.content ?? null);
      this.#subjects.set(key, subject);
      const left = namesOf(there.get(key));
      const isWhole = subject.columns.every((name) => left.includes(name));
      subject.restored = await stage.read({
        table: key,
        columns: isWhole ? subject.columns : [],
      });
      subject.isRestored = isSame && isWhole && isEqualOn(subject, subject.restored);
      if (!subject.isRestored) this.#judge(subject);
    }
    this.#compareSchemas("downgrade-differs", {
      differences: await compareSchemas(this.up.before, down.after),
      what: "after its downgrade the schema is not what it was before",
    });
  }

  /** Looks at what the second way up did, right after it. */
  async again(stage: Stage, again: Step | CatalystError): Promise<void> {
    if (!("observed" in again)) {
      const what = "it can't be applied again after its downgrade";
      return this.#fail("second-upgrade-fails", again, what);
    }
    for (const [key, { name, after }] of this.#subjects) {
      const content = after === null ? null : await stage.read({ table: key, columns: [] });
      if (content === null || content.rows === after?.rows) continue;
      this.#add("second-upgrade-differs", {
        table: name,
        reason: `applied again after its downgrade it leaves ${rowsIn(content.rows, name)}, and ` +
          `the first time it left ${after?.rows}`,
        fix: MEND_DOWNGRADE,
      });
    }
    this.#compareSchemas("second-upgrade-differs", {
      differences: await compareSchemas(this.up.after, again.after),
      what: "applied again after its downgrade it makes another schema",
    });
  }

  async #compare(stage: Stage): Promise<void> {
    const { after, touched } = this.up;
    const there = byName(after);
    const commons = new Map<string, Comparison>();
    for (const [key, schema] of this.#before) {
      const columns = namesOf(schema).filter((name) => touched.get(key)?.has(name));
      if (columns.length === 0) continue;
      const before = await stage.readFormer({ table: key, columns });
      const left = namesOf(there.get(key));
      const common = columns.filter((name) => left.includes(name));
      commons.set(key, {
        columns: common,
        content: common.length === columns.length
          ? before
          : await stage.readFormer({ table: key, columns: common }),
      });
      this.#subjects.set(key, { ...unchanged(schema, before), columns, after: null });
    }
    await stage.settle();
    for (const [key, { columns, content }] of commons) {
      const subject = this.#subjects.get(key);
      const now = await stage.read({ table: key, columns });
      if (subject === undefined || now === null) continue;
      this.#subjects.set(key, { ...subject, after: now, changed: !isEqual(content, now) });
    }
    for (const [key, schema] of there) {
      if (this.#before.has(key)) continue;
      const now = await stage.read({ table: key, columns: [] });
      this.#subjects.set(key, { ...unchanged(schema, null), schema: null, after: now });
    }
  }

  #judge({ name, schema, columns, before, restored }: Subject): void {
    const isDeclared = (this.migration.destroys ?? []).some((one) => fold(one) === fold(name));
    const rows = before?.rows ?? 0;
    if (restored === null) {
      if (rows === 0) return; // what is compared besides, the schema, says it
      this.#add("rows-lost", {
        table: name,
        reason: `after its downgrade table "${name}" is gone, and with it ${rows} rows that were ` +
          "there before the upgrade",
        fix: KEEP_ROWS,
        isDeclared,
      });
    } else if (rows !== restored.rows) {
      const isLess = restored.rows < rows;
      this.#add(isLess ? "rows-lost" : "rows-left", {
        table: name,
        reason: `after its downgrade there are ${rowsIn(restored.rows, name)}, and before the ` +
          `upgrade there were ${rows}`,
        fix: isLess ? KEEP_ROWS : "let the downgrade delete the rows that the upgrade inserts",
        isDeclared: isDeclared && isLess,
      });
    } else if (rows > 0) {
      const isAll = columns.length === 0 || columns.length === schema?.columns.length;
      const what = isAll ? "rows" : `values of ${columns.join(", ")}`;
      this.#add("values-lost", {
        table: name,
        reason:
          `after its downgrade the ${what} of table "${name}" are not what they were before ` +
          "the upgrade, or come in another order",
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
      fix: MEND_DOWNGRADE,
    });
  }

  #fail(code: SurpriseCode, error: CatalystError, what: string): void {
    this.#add(code, {
      table: null,
      reason: `${what}: ${error.message}`,
      fix: error.help ?? "mend the migration",
    });
  }

  #add(code: SurpriseCode, { isDeclared = false, ...fault }: Fault): void {
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
        reason: `${reason}; it is meant so: ${allowed.reason}`,
      });
    } else this.surprises.push({ code, migration: name, database, ...fault });
  }
}

/** What `-- lint:allow downgrade-differs` means. */
const OF_DOWNGRADE: ReadonlySet<SurpriseCode> = new Set<SurpriseCode>([
  "downgrade-differs",
  "rows-lost",
  "rows-left",
  "values-lost",
]);

const MEND_DOWNGRADE = "mend the downgrade, so that it takes back all that the upgrade does";

const KEEP_ROWS = "let the upgrade keep what the downgrade needs, in a table or column of its " +
  "own; or leave the downgrade out, and a snapshot is the way back";

/** What a table held, to be compared. */
interface Comparison {
  readonly columns: readonly string[];
  readonly content: TableContent | null;
}

function unchanged(schema: TableSchema, content: TableContent | null): Subject {
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

/** Of a table that the way back alone touched, the rows were read for themselves. */
function isEqualOn({ columns, before }: Subject, restored: TableContent | null): boolean {
  return columns.length === 0 ? before?.rows === restored?.rows : isEqual(before, restored);
}

function rowsIn(rows: number, table: string): string {
  return `${rows} ${rows === 1 ? "row" : "rows"} in table "${table}"`;
}

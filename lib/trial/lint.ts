import { LintError, UnknownMigrationError } from "../base/errors.ts";
import { adviceOn } from "../engine/explain_failure.ts";
import { mayTouchRows } from "../engine/checks.ts";
import type { Migration, Registry } from "../migration/migration.ts";
import { assess } from "../state/assess.ts";
import { inspect } from "../state/inspect.ts";
import { findMigration } from "../state/plan.ts";
import type { Workspace } from "../state/workspace.ts";
import { dataLossCodes, type Fault, findingOf, isAllowed, type LintFinding } from "./finding.ts";
import { failureReason } from "./recorder.ts";
import { RowTrial, type UntriedRows } from "./row_trial.ts";
import { lockFaults, serverFaults } from "./rules_lock.ts";
import { lossFaults, rebuildFaults } from "./rules_rows.ts";
import { constraintFaults, lostFaults } from "./rules_schema.ts";
import { referenceFaults, reversalFaults, statementFaults } from "./rules_statements.ts";
import { type SimulatedUpgrade, Simulation } from "./simulation.ts";
import type { Schema } from "../schema/model.ts";
import { fold, tokenize } from "../sql/tokens.ts";

/** Options of `lint`. */
export interface LintOptions {
  /**
   * Ids, names or files of the migrations to check, including applied ones. Default: all pending
   * ones, except bundled migrations.
   */
  readonly migrations?: readonly string[];
  /**
   * Rows from which a table counts as large, so that changing it blocks the bot. Default 1,000,000.
   */
  readonly largeTable?: number;
}

/** Result of `lint`. */
export interface LintResult {
  /** Whether there are no errors; there may be warnings. */
  readonly ok: boolean;
  /** Names of the checked migrations, in order. */
  readonly checked: readonly string[];
  /** Findings in the order of the migrations and their statements. */
  readonly findings: readonly LintFinding[];
  /**
   * Databases whose migrations were tried without their rows: failures that depend on rows are not
   * found.
   */
  readonly untried: readonly UntriedRows[];
}

/** Checks one migration for one kind of fault. */
type Rule = (simulated: SimulatedUpgrade) => Fault[] | Promise<Fault[]>;

const RULES: readonly Rule[] = [
  statementFaults,
  lossFaults,
  rebuildFaults,
  lostFaults,
  constraintFaults,
  referenceFaults,
  lockFaults,
  serverFaults,
];

/**
 * Finds problems in migrations by running them on a scratch database in memory that has the real
 * schema. The real databases are only read.
 *
 * @throws {UnknownMigrationError} if a requested migration does not exist.
 */
export async function lint(workspace: Workspace, options: LintOptions = {}): Promise<LintResult> {
  const { registry, trusted } = workspace;
  const found = await inspect(workspace);
  const statuses = new Map(assess(registry, found).map(({ id, state }) => [id, state]));
  const isApplied = ({ id }: Migration): boolean => {
    const state = statuses.get(id);
    return state === "applied" || state === "changed";
  };
  const asked = options.migrations === undefined
    ? null
    : await Promise.all(options.migrations.map((one) => findAsked(registry, one)));
  const chosen = registry.migrations.filter((migration) =>
    asked?.includes(migration) ?? (!isApplied(migration) && !trusted.includes(migration))
  );
  const findings = new Map<Migration, readonly LintFinding[]>();
  const untried: UntriedRows[] = [];
  for (const database of registry.databases) {
    const own = chosen.filter((one) => one.database === database);
    const last = own.at(-1);
    if (last === undefined) continue;
    const all = registry.migrations.filter((one) => one.database === database);
    const upToLast = all.slice(0, all.indexOf(last) + 1);
    // The schema before an applied migration is the one that its predecessors create.
    const fromEmpty = own.some(isApplied);
    await using simulation = await Simulation.open(workspace, {
      database,
      fromEmpty,
      isElsewhere: true,
      reverses: true,
      ...(options.largeTable === undefined ? {} : { largeTable: options.largeTable }),
    });
    const list = fromEmpty ? upToLast : upToLast.filter((one) => !isApplied(one));
    await using stack = new AsyncDisposableStack();
    const opened = fromEmpty ? null : await RowTrial.open(workspace, found, database);
    let trial = opened instanceof RowTrial ? stack.use(opened) : null;
    if (opened !== null && !(opened instanceof RowTrial)) untried.push(opened);
    const needed = new NeededObjects(list);
    for (const [place, migration] of list.entries()) {
      const isLooked = chosen.includes(migration);
      const failure = !isLooked && trusted.includes(migration)
        ? await simulation.apply(migration)
        : await simulation.upgrade(migration, async (simulated) => {
          if (!isLooked) return;
          findings.set(migration, findingsOf(migration, await faultsOf(simulation, simulated)));
        });
      const known = findings.get(migration) ?? [];
      const isWrong = known.some(({ severity, code }) =>
        severity === "error" && code !== "downgrade-differs"
      );
      // An upgrade refuses known findings before it runs. What fails without rows may work with them.
      const isTried = trial !== null && failure?.isCertain !== true && !isWrong;
      const fault = isTried ? await trial?.upgrade(migration) ?? null : null;
      if (isLooked && (fault !== null || isTried && failure !== null)) {
        const others = known.filter(({ code }) => failure === null || code !== "fails");
        const faults = fault === null ? [] : findingsOf(migration, [fault]);
        findings.set(migration, inOrder([...others, ...faults]));
      }
      if (isWrong || failure !== null || fault !== null) trial = null;
      // Migrations after a failed one can't be tried.
      if (failure !== null) break;
      const needless = needed.needless(simulation.schema, place);
      if (needless.length === 0) continue;
      await simulation.forget(needless);
      await trial?.forget(needless);
    }
  }
  const list = chosen.flatMap((migration) => findings.get(migration) ?? []);
  return {
    ok: list.every(({ severity }) => severity !== "error"),
    checked: chosen.filter((one) => findings.has(one)).map(({ name }) => name),
    findings: list,
    untried,
  };
}

async function findAsked(registry: Registry, wanted: string): Promise<Migration> {
  if (!/\.(sql|ts|js)$/i.test(wanted)) return findMigration(registry, wanted);
  const { resolve } = await import("node:path");
  const found = registry.migrations.find(({ source }) =>
    source !== undefined && resolve(source.path) === resolve(wanted)
  );
  if (found !== undefined) return found;
  throw new UnknownMigrationError(
    `Cannot lint ${wanted}: it is not the file of a known migration`,
    {
      help: "name its directory with --migrations-dir",
    },
  );
}

async function faultsOf(simulation: Simulation, simulated: SimulatedUpgrade): Promise<Fault[]> {
  const { migration, run } = simulated;
  const faults: Fault[] = [];
  for (const rule of isCutShort(simulated) ? [statementFaults] : RULES) {
    faults.push(...await rule(simulated));
  }
  if (run.failure !== null) {
    const { failure } = run;
    const isSure = failure.isCertain && simulation.scratch.missing.length === 0;
    // Later statements may need the effect of a forbidden one, and a pragma is already reported.
    const isTold = run.statements.some(({ forbidden, ineffective, sql }) =>
      forbidden !== null || ineffective !== null && sql === failure.place?.sql
    );
    if (isTold) return faults;
    faults.push({
      code: "fails",
      severity: isSure ? "error" : "warning",
      place: failure.place,
      reason: `it fails on a copy of the schema: ${failureReason(failure)}`,
      fix: !isSure
        ? "the copy has no rows, which may be the reason; `rehearse` tries it with the real rows"
        : /^error in (view|trigger)/.test(failure.message)
        ? "drop that view or trigger before the rebuild, and recreate it after the rename"
        : `${adviceOn(failure.message, migration)}; later statements were not checked`,
    });
    return faults;
  }
  const reversal = await simulation.reverse(simulated);
  faults.push(...reversalFaults(simulated, reversal));
  if (reversal.down !== null) {
    const own = statementFaults({ migration, run: reversal.down })
      .filter(({ code }) => code === "forbidden-statement" || code === "ineffective-pragma");
    own.push(...await serverFaults({ ...simulated, run: reversal.down }));
    faults.push(...own.map((fault) => ({ ...fault, direction: "downgrade" as const })));
  }
  return faults;
}

/** Whether a migration certainly fails halfway, so that its full effect is unknown. */
function isCutShort({ run }: Pick<SimulatedUpgrade, "run">): boolean {
  return run.failure?.isCertain === true && run.failure.place !== undefined;
}

/** The findings that the author has not allowed, in order. */
export function findingsOf(migration: Migration, faults: readonly Fault[]): LintFinding[] {
  return inOrder(
    faults.filter(({ code }) => !isAllowed(migration, code))
      .map((fault) => findingOf(migration, fault)),
  );
}

/** Sorts by line, with those about the whole migration last. */
function inOrder(findings: readonly LintFinding[]): LintFinding[] {
  const order = ({ line, statement }: LintFinding): number =>
    statement === null ? Infinity : line ?? 0;
  return findings.toSorted((a, b) => order(a) === order(b) ? 0 : order(a) - order(b));
}

/**
 * Checks, before anything is changed, whether migrations lose rows or values without declaring it.
 * The error names each statement; null if there is none.
 */
export async function findDataLoss(
  workspace: Workspace,
  apply: readonly Migration[],
): Promise<LintError | null> {
  const suspects = apply.filter((one) =>
    mayTouchRows(one.upgrade) && !workspace.trusted.includes(one)
  );
  return suspects.length === 0 ? null : await findLosses(workspace, { apply, suspects });
}

/** The migrations about to be applied. */
interface GuardOptions {
  /** The migrations, in order. */
  readonly apply: readonly Migration[];
  /** Those to check; the others are only run. */
  readonly suspects: readonly Migration[];
}

async function findLosses(
  workspace: Workspace,
  { apply, suspects }: GuardOptions,
): Promise<LintError | null> {
  const findings: LintFinding[] = [];
  for (const database of new Set(suspects.map((one) => one.database))) {
    const own = apply.filter((one) => one.database === database);
    const last = own.findLastIndex((one) => suspects.includes(one));
    await using simulation = await Simulation.open(workspace, { database });
    // Without tables nothing can be lost, and functions of migrations need not be called twice.
    if (!simulation.hasTables) continue;
    for (const migration of own.slice(0, last + 1)) {
      const failure = suspects.includes(migration)
        ? await simulation.upgrade(migration, async (simulated) => {
          if (isCutShort(simulated)) return;
          const faults = [...await lossFaults(simulated), ...await rebuildFaults(simulated)];
          findings.push(
            ...findingsOf(migration, faults.filter(({ code }) => dataLossCodes.has(code))),
          );
        })
        : await simulation.apply(migration);
      // It may fail only because the copy has no rows; if not, the real run reports it.
      if (failure !== null) break;
    }
  }
  const [first] = findings;
  return first === undefined ? null : refused(first, findings);
}

function refused(first: LintFinding, findings: readonly LintFinding[]): LintError {
  const { migration, database, line, statement } = first;
  const others = new Set(findings.map((one) => one.migration));
  const subject = others.size === 1 ? migration : [...others].join(", ");
  return new LintError(
    `Cannot apply ${subject}: it would lose data without declaring it: ${
      findings.map(describe).join("; ")
    }`,
    {
      migration,
      database,
      ...(line === null ? {} : { line }),
      ...(statement === null ? {} : { statement }),
      help: `${
        [...new Set(findings.map(({ fix }) => fix))].join("; ")
      }. Nothing was changed; \`lint\` shows all findings.`,
    },
  );
}

function describe({ file, line, reason, code }: LintFinding): string {
  const place = file === null
    ? line === null ? "" : ` (line ${line} of its SQL)`
    : ` (${file}${line === null ? "" : `:${line}`})`;
  return `${reason}${place} [${code}]`;
}

/** Up to this many objects are always kept: checking costs more than keeping them. */
const FEW = 64;

/**
 * Finds objects of a scratch database that no later migration can use, so that they can be dropped.
 * Otherwise each of thousands of migrations would run among the objects of all others.
 */
export class NeededObjects {
  /** Position of the last migration that uses a name. */
  readonly #lastNamed = new Map<string, number>();
  /** Position of the last migration whose names are unknown: one that is a function. */
  #lastFunction = -1;
  readonly #names = new Map<string, ReadonlySet<string>>();
  /** Number of objects from which checking is worthwhile. */
  #limit = FEW;

  /** Reads all migrations that will be tried, in order. */
  constructor(migrations: readonly Migration[]) {
    for (const [place, { upgrade, downgrade = "" }] of migrations.entries()) {
      for (const body of [upgrade, downgrade]) {
        if (typeof body !== "string") this.#lastFunction = place;
        else for (const name of namesIn(body)) this.#lastNamed.set(name, place);
      }
    }
  }

  /** Names of the tables and views that no migration after a position needs. */
  needless(schema: Schema, place: number): string[] {
    const objects = [...schema.tables, ...schema.views, ...schema.triggers, ...schema.indexes];
    if (objects.length < this.#limit || place < this.#lastFunction) return [];
    const needed = this.#neededAmong(objects, place);
    this.#limit = 2 * needed.size + FEW;
    return [...schema.views, ...schema.tables].map(({ name }) => name)
      .filter((name) => !needed.has(fold(name)));
  }

  /**
   * The objects that later migrations name, and everything connected with them by references,
   * directly or indirectly.
   */
  #neededAmong(
    objects: readonly { readonly name: string; readonly sql: string }[],
    place: number,
  ): Set<string> {
    const neighbours = new Map(objects.map(({ name }) => [fold(name), new Set<string>()]));
    for (const { name, sql } of objects) {
      const own = fold(name);
      for (const other of this.#namesIn(sql)) {
        if (other === own) continue;
        neighbours.get(other)?.add(own);
        if (neighbours.has(other)) neighbours.get(own)?.add(other);
      }
    }
    const needed = new Set(
      neighbours.keys().filter((name) => (this.#lastNamed.get(name) ?? -1) > place),
    );
    for (const name of needed) {
      for (const other of neighbours.get(name) ?? []) needed.add(other);
    }
    return needed;
  }

  #namesIn(sql: string): ReadonlySet<string> {
    let names = this.#names.get(sql);
    if (names === undefined) this.#names.set(sql, names = namesIn(sql));
    return names;
  }
}

/** Everything that may be a name in an SQL text. */
function namesIn(sql: string): Set<string> {
  return new Set(
    tokenize(sql).flatMap(({ kind, value }) =>
      kind === "word" || kind === "quoted" || kind === "string" ? [fold(value)] : []
    ),
  );
}

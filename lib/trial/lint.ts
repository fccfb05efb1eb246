import { UnknownMigrationError } from "../base/errors.ts";
import { inspect } from "../state/inspect.ts";
import type { Migration } from "../migration/migration.ts";
import { findMigration } from "../state/plan.ts";
import type { Registry } from "../migration/registry.ts";
import { assess } from "../state/assess.ts";
import type { Workspace } from "../state/workspace.ts";
import { type Fault, findingOf, isAllowed, type LintFinding } from "./finding.ts";
import { Lane } from "./lint_run.ts";
import { lockFaults, reversalFaults, statementFaults } from "./rules.ts";
import { lossFaults, lostFaults, rebuildFaults } from "./rules_loss.ts";
import { reasonOf, type Rehearsed, type Rule } from "./tables.ts";

/** Which migrations to look at, and how. */
export interface LintOptions {
  /**
   * Ids, names or files of the migrations to look at, applied ones too. Default: all that are pending,
   * without those that came with the toolkit.
   */
  readonly migrations?: readonly string[];
  /** Rows from which on a table counts as large: changing it keeps the bot waiting. Default 1,000,000. */
  readonly largeTable?: number;
}

/** What `lint` found. */
export interface LintResult {
  /** Whether there is no error; there may be warnings. */
  readonly ok: boolean;
  /** Names of the migrations that were looked at, in order. */
  readonly checked: readonly string[];
  /** In the order of the migrations and of their statements. */
  readonly findings: readonly LintFinding[];
}

const RULES: readonly Rule[] = [
  statementFaults,
  lossFaults,
  rebuildFaults,
  lostFaults,
  lockFaults,
];

/**
 * Looks for what is dangerous or wrong in migrations, by running them on a scratch database in memory
 * with the schema of the real one. The real ones are only read.
 *
 * @throws {UnknownMigrationError} where one is asked for that isn't there.
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
  for (const database of registry.databases) {
    const own = chosen.filter((one) => one.database === database);
    const last = own.at(-1);
    if (last === undefined) continue;
    const all = registry.migrations.filter((one) => one.database === database);
    const upToLast = all.slice(0, all.indexOf(last) + 1);
    // The schema before a migration that is applied already is what those before it make.
    const fromEmpty = own.some(isApplied);
    await using lane = await Lane.open(workspace, {
      database,
      fromEmpty,
      isElsewhere: true,
      reverses: true,
      ...(options.largeTable === undefined ? {} : { largeTable: options.largeTable }),
    });
    const list = fromEmpty ? upToLast : upToLast.filter((one) => !isApplied(one));
    for (const migration of list) {
      const isLooked = chosen.includes(migration);
      const failure = !isLooked && trusted.includes(migration)
        ? await lane.pass(migration)
        : await lane.upgrade(migration, async (rehearsed) => {
          if (!isLooked) return;
          findings.set(migration, keep(migration, await faultsOf(lane, rehearsed)));
        });
      // What comes after one that fails can't be tried.
      if (failure !== null) break;
    }
  }
  const list = chosen.flatMap((migration) => findings.get(migration) ?? []);
  return {
    ok: list.every(({ severity }) => severity !== "error"),
    checked: chosen.filter((one) => findings.has(one)).map(({ name }) => name),
    findings: list,
  };
}

async function findAsked(registry: Registry, wanted: string): Promise<Migration> {
  if (!/\.(sql|ts|js)$/i.test(wanted)) return findMigration(registry, wanted);
  const { resolve } = await import("node:path");
  const found = registry.migrations.find(({ source }) =>
    source !== undefined && resolve(source.path) === resolve(wanted)
  );
  if (found !== undefined) return found;
  throw new UnknownMigrationError(`Cannot lint ${wanted}: it is no file of a known migration`, {
    help: "name its directory by --migrations-dir",
  });
}

async function faultsOf(lane: Lane, rehearsed: Rehearsed): Promise<Fault[]> {
  const { migration, run } = rehearsed;
  const faults: Fault[] = [];
  for (const rule of isCutShort(rehearsed) ? [statementFaults] : RULES) {
    faults.push(...await rule(rehearsed));
  }
  if (run.failure !== null) {
    const { failure } = run;
    const isSure = failure.isCertain && lane.scratch.missing.length === 0;
    // What a forbidden statement would have done, the others may need; and a pragma is told already.
    const isTold = run.steps.some(({ forbidden, ineffective, sql }) =>
      forbidden !== null || ineffective !== null && sql === failure.place?.sql
    );
    if (isTold) return faults;
    faults.push({
      code: "fails",
      severity: isSure ? "error" : "warning",
      place: failure.place,
      reason: `it fails on a copy of the schema: ${reasonOf(failure)}`,
      fix: !isSure
        ? "a copy without rows may be the reason; `rehearse` tries it with the real rows"
        : /^error in (view|trigger)/.test(failure.message)
        ? "drop that view or trigger before the rebuild, and create it again after the rename"
        : "mend the statement; what comes after it was not checked",
    });
    return faults;
  }
  const reversal = await lane.reverse(rehearsed);
  faults.push(...await reversalFaults(rehearsed, reversal));
  if (reversal.down !== null) {
    const own = statementFaults({ migration, run: reversal.down })
      .filter(({ code }) => code === "forbidden-statement" || code === "ineffective-pragma");
    faults.push(...own.map((fault) => ({ ...fault, direction: "downgrade" as const })));
  }
  return faults;
}

/** Whether a migration fails in the middle for certain: what it would have done can't be told. */
export function isCutShort({ run }: Pick<Rehearsed, "run">): boolean {
  return run.failure?.isCertain === true && run.failure.place !== undefined;
}

/** The findings that the author hasn't allowed, by line; those about the whole migration last. */
export function keep(migration: Migration, faults: readonly Fault[]): LintFinding[] {
  const order = ({ line, statement }: LintFinding): number =>
    statement === null ? Infinity : line ?? 0;
  return faults.filter(({ code }) => !isAllowed(migration, code))
    .map((fault) => findingOf(migration, fault))
    .toSorted((a, b) => order(a) === order(b) ? 0 : order(a) - order(b));
}

import type { Migration } from "../migration/migration.ts";
import type { Schema } from "../schema/model.ts";
import { findNamed, fold, normalize } from "../sql/tokens.ts";
import type { Workspace } from "../state/workspace.ts";
import { rowChanges } from "./authorizer.ts";
import type { TableLineage } from "./lineage.ts";
import { failureReason } from "./recorder.ts";
import { type SimulatedUpgrade, Simulation } from "./simulation.ts";

/** An object that a migration creates, changes or drops. */
export interface ObjectEffect {
  /** What happens to it; a rebuilt table counts as changed. */
  readonly change: "creates" | "changes" | "drops";
  /** Type of the object. */
  readonly type: "table" | "index" | "view" | "trigger";
  /** Its name. */
  readonly name: string;
}

/** Rows that a migration's own statements change, not triggers or foreign keys. */
export interface RowEffect {
  /** What happens to them. */
  readonly change: "inserts" | "updates" | "deletes";
  /** Name of the table at that point. */
  readonly table: string;
  /** `all` rows of the table, `some`, or the `exact` number. */
  readonly extent: "all" | "some" | "exact";
  /** Number of rows; for `all` and `some`, that of the whole table. */
  readonly rows: number;
  /** Tables from which inserted rows are read; `rows` is then the maximum. */
  readonly from: readonly string[];
}

/** What a migration would do. */
export interface MigrationEffects {
  /** Id of the migration, such as `004`. */
  readonly id: string;
  /** Its name. */
  readonly name: string;
  /** Name of its database. */
  readonly database: string;
  /** Objects that differ before and after it. */
  readonly objects: readonly ObjectEffect[];
  /** Rows that it changes, in the order of its statements. */
  readonly rows: readonly RowEffect[];
  /** Why the effects are not fully known; null if they are. */
  readonly unknown: string | null;
}

/**
 * Finds what migrations would do, by running them on a scratch database. The real ones are only
 * read.
 */
export async function findEffects(
  workspace: Workspace,
  apply: readonly Migration[],
): Promise<MigrationEffects[]> {
  const effects = new Map<string, MigrationEffects>();
  for (const database of new Set(apply.map((one) => one.database))) {
    await using simulation = await Simulation.open(workspace, { database });
    let failed: string | null = null;
    for (const migration of apply.filter((one) => one.database === database)) {
      const { id, name } = migration;
      if (failed !== null) {
        const unknown = `${failed} before it can't be tried on a copy of the schema`;
        effects.set(id, { id, name, database, objects: [], rows: [], unknown });
        continue;
      }
      const failure = await simulation.upgrade(migration, async (simulated) => {
        effects.set(id, await effectsOf(simulated));
      });
      if (failure !== null) failed = name;
    }
  }
  return apply.flatMap(({ id }) => effects.get(id) ?? []);
}

async function effectsOf(simulated: SimulatedUpgrade): Promise<MigrationEffects> {
  const { migration: { id, name, database }, run } = simulated;
  return {
    id,
    name,
    database,
    objects: objectEffects(simulated),
    rows: await rowEffects(simulated),
    unknown: run.failure === null ? null : failureReason(run.failure),
  };
}

const TYPES = [
  ["table", "tables"],
  ["index", "indexes"],
  ["view", "views"],
  ["trigger", "triggers"],
] as const satisfies readonly (readonly [ObjectEffect["type"], keyof Schema])[];

function objectEffects({ before, after, rebuilds }: SimulatedUpgrade): ObjectEffect[] {
  const effects: ObjectEffect[] = [];
  for (const [type, list] of TYPES) {
    const old = new Map(before[list].map((one) => [fold(one.name), one.sql]));
    const now = new Map(after[list].map((one) => [fold(one.name), one.sql]));
    for (const { name, sql } of after[list]) {
      const former = old.get(fold(name));
      const isRebuilt = type === "table" && findNamed(rebuilds, name) !== undefined;
      if (former === undefined) effects.push({ change: "creates", type, name });
      else if (normalize(former) !== normalize(sql) || isRebuilt) {
        effects.push({ change: "changes", type, name });
      }
    }
    for (const { name } of before[list]) {
      if (!now.has(fold(name))) effects.push({ change: "drops", type, name });
    }
  }
  const order = ["creates", "changes", "drops"];
  return effects.toSorted((a, b) => order.indexOf(a.change) - order.indexOf(b.change));
}

async function rowEffects(simulated: SimulatedUpgrade): Promise<RowEffect[]> {
  const { run, at, lineages, rebuilds, rowCounts } = simulated;
  const effects: RowEffect[] = [];
  const count = async (lineage: TableLineage) => await rowCounts.count(lineage) ?? 0;
  for (const statement of run.statements) {
    for (const { table, database, kind, whole } of rowChanges(statement.events)) {
      const lineage = at.get(statement)?.named(table, database);
      if (lineage === undefined || lineage.database === "temp") continue;
      if (kind === "insert") {
        const sources = lineages.filter((one) =>
          one.copies.some((copy) => copy.statement === statement)
        );
        let rows = 0;
        for (const source of sources) rows += await count(source);
        const isCopy = rows > 0;
        effects.push({
          change: "inserts",
          table,
          extent: isCopy ? "some" : "exact",
          rows: isCopy ? rows : statement.changes,
          from: isCopy ? sources.map(({ name, original }) => original ?? name) : [],
        });
        continue;
      }
      effects.push({
        change: kind === "update" ? "updates" : "deletes",
        table,
        extent: whole ? "all" : "some",
        rows: await count(lineage),
        from: [],
      });
    }
  }
  for (const lineage of lineages) {
    const { original, dropped } = lineage;
    if (original === null || dropped === null || rebuilds.some(({ old }) => old === lineage)) {
      continue;
    }
    const rows = await count(lineage);
    if (rows > 0) {
      effects.push({ change: "deletes", table: original, extent: "all", rows, from: [] });
    }
  }
  return effects.filter(({ rows }) => rows > 0);
}

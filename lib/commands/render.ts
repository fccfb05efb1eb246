import type { MigrationEffects, RowEffect } from "../trial/effects.ts";
import type { Migration } from "../migration/migration.ts";
import { formatCount, printable } from "../base/format.ts";
import type { UpgradePlan } from "../state/upgrade_plan.ts";

/** What an upgrade would do, as data. */
export function planAsJson({ apply, adopt, reconcile, effects }: UpgradePlan): object {
  return {
    ok: true,
    dryRun: true,
    apply: apply.map((one) => {
      const its = effects?.find(({ id }) => id === one.id);
      return {
        id: one.id,
        database: one.database,
        sql: sqlText(one),
        objects: its?.objects ?? [],
        rows: its?.rows ?? [],
        unknown: its?.unknown ?? null,
      };
    }),
    adopt,
    reconcile,
  };
}

/** What an upgrade would do in words, as comments in the SQL that it would run. */
export function renderPlan({ apply, adopt, reconcile, effects }: UpgradePlan): string {
  const notes = [
    ...adopt.length === 0 ? [] : [`would adopt ${adopt.join(", ")}: the tables are there already`],
    ...reconcile.length === 0 ? [] : [`would correct the ledger for ${reconcile.join(", ")}`],
  ];
  const sections = apply.map((one) =>
    [
      `-- would apply ${one.name} to ${one.database}`,
      ...renderEffects(effects?.find(({ id }) => id === one.id)),
      sqlText(one) ?? "-- (a function, not SQL)",
    ].join("\n")
  );
  if (effects === undefined) notes.push("too many are pending to tell what each would change");
  const end = `${formatCount(apply.length, "migration")} would be applied. Nothing was changed.`;
  return [...notes, ...sections, end].join("\n");
}

function sqlText({ upgrade }: Migration): string | null {
  return typeof upgrade === "string" ? upgrade.trim() : null;
}

function renderEffects(effects: MigrationEffects | undefined): string[] {
  if (effects === undefined) return [];
  const { objects, rows, unknown } = effects;
  return [
    ...objects.map(({ change, type, name }) => `${change} ${type} ${name}`),
    ...rows.map(renderRows),
    ...unknown === null ? [] : [`the rest can't be told: ${unknown}`],
  ].map((line) => `--   ${printable(line)}`);
}

function renderRows({ change, table, extent, rows, from }: RowEffect): string {
  const count = formatCount(rows, "row");
  if (change === "inserts") {
    return extent === "exact"
      ? `inserts ${count} into ${table}`
      : `inserts into ${table} from the ${count} of ${from.join(", ")}`;
  }
  return extent === "all"
    ? `${change} all ${count} of ${table}`
    : `${change} some of the ${count} of ${table}`;
}

import { formatCount, formatDuration } from "../base/format.ts";
import { printable, renderTable } from "../terminal/text.ts";
import { directoryOf } from "../base/paths.ts";
import { isLibsqlAddress } from "../database/location.ts";
import type { Migration } from "../migration/migration.ts";
import type { UpgradePlan, UpgradeResult } from "../operations/run_migrations.ts";
import type { MigrationEffects, RowEffect } from "../trial/effects.ts";
import { dryRunFlag, noBackupFlag, refuseTogether, stringFlags } from "./flags.ts";
import type { Command, CommandContext } from "./command.ts";
import { wayBack } from "../state/status.ts";
import type { LostDatabase } from "../state/lost_databases.ts";
import {
  followMigrations,
  renderReconciliation,
  renderSnapshots,
  reportStopped,
} from "./render.ts";
import type { Applied, Documents, UpgradeFailure } from "./json_documents.ts";

/** `upgrade`: applies pending migrations. */
export const command: Command = {
  name: "upgrade",
  summary: "apply all pending migrations (the default command)",
  flags: {
    "migration": { value: "ID", help: "apply only this one" },
    "to": { value: "ID", help: "apply up to this one" },
    "out-of-order": { help: "apply a migration that sorts before an applied one" },
    "dry-run": dryRunFlag,
    "no-backup": noBackupFlag,
  },
  examples: [
    ["upgrade", "create or update the databases in data/"],
    ["upgrade --dry-run", "show the SQL that would run, and its effects"],
    ["upgrade --to 002 --data-dir ~/bot/data", "stop after migration 002"],
  ],
  run: async (context: CommandContext) => {
    const { flags, migrator, output } = context;
    refuseTogether("upgrade", flags, ["migration", "to"]);
    const request = {
      ...stringFlags(flags, "migration", "to"),
      outOfOrder: flags["out-of-order"] === true,
    };
    if (flags["dry-run"]) {
      const plan = await migrator.planUpgrade({ ...request, effects: true });
      if (plan.refusal === undefined) output.json(planAsJson(plan));
      output.answer(renderPlan(plan));
      if (plan.refusal !== undefined) throw plan.refusal;
      return 0;
    }
    using following = followMigrations(context);
    const applied: Applied[] = [];
    const lost: LostDatabase[] = [];
    try {
      const result = await migrator.upgrade({
        ...request,
        backup: !flags["no-backup"],
        ...following.options,
        onUnreadable: (reason) => output.warn(`${reason}; \`doctor\` says what to do`),
        onLost: (one) => {
          lost.push(one);
          output.warn(
            `${
              migrator.pathOf(one.database)
            } was missing or empty, although it had content before; ` +
              `it was created without rows; ${wayBack(one)}`,
          );
        },
        onProgress: (progress) => {
          following.options.onProgress(progress);
          const { kind, id, database, durationSeconds } = progress;
          if (kind === "finished") {
            applied.push({ id, database, durationSeconds: durationSeconds ?? 0 });
          }
        },
      });
      following.end();
      output.json(
        { ok: true, ...asJson(result), lost, failed: null } satisfies Documents["upgrade"],
      );
      output.report(
        renderUpgrade(result, {
          known: migrator.ids.length,
          paths: migrator.databases.map((name) => migrator.pathOf(name)),
        }),
      );
      return 0;
    } catch (error) {
      following.end();
      return await reportStopped<UpgradeFailure>(error, {
        output,
        before: "Applied before the failure, and still applied",
        document: ({ adopted, reconciled }) => ({ applied, adopted, reconciled, lost }),
      });
    }
  },
};

function asJson(
  { applied, ...others }: UpgradeResult,
): Omit<UpgradeResult, "applied"> & { readonly applied: readonly Applied[] } {
  return {
    applied: applied.map(({ id, database, durationSeconds, destroyed }) => ({
      id,
      database,
      durationSeconds,
      ...(destroyed === undefined ? {} : { destroyed }),
    })),
    ...others,
  };
}

/** What an upgrade would do, as data. */
function planAsJson(
  { apply, adopt, reconcile, effects }: UpgradePlan,
): Documents["upgrade"] {
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

/** The plan of an upgrade as text: comments in the SQL that it would run. */
function renderPlan({ apply, adopt, reconcile, effects, refusal }: UpgradePlan): string {
  const notes = [
    ...adopt.length === 0
      ? []
      : [`would adopt ${printable(adopt.join(", "))}: the tables exist already`],
    ...reconcile.length === 0
      ? []
      : [`would correct the ledger for ${printable(reconcile.join(", "))}`],
  ];
  const sections = apply.map((one) =>
    [
      `-- would apply ${one.name} to ${one.database}`,
      ...renderEffects(effects?.find(({ id }) => id === one.id)),
      sqlText(one) ?? "-- (a function, not SQL)",
    ].join("\n")
  );
  if (effects === undefined) notes.push("too many are pending to show the effects of each");
  const count = formatCount(apply.length, "migration");
  const end = refusal === undefined
    ? `${count} would be applied. Nothing was changed.`
    : `${count} ${apply.length === 1 ? "is" : "are"} pending. Nothing was changed.`;
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
    ...unknown === null ? [] : [`further effects are unknown: ${unknown}`],
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

/** The result of an upgrade as text. */
function renderUpgrade(
  result: UpgradeResult,
  { known, paths }: {
    /** Number of known migrations. */
    readonly known: number;
    /** Paths of the databases; if they are in one directory, only that is named. */
    readonly paths: readonly string[];
  },
): string {
  const { applied } = result;
  const lines = [...renderReconciliation(result), ...renderSnapshots(result)];
  if (applied.length > 0) {
    lines.push(
      renderTable(applied.map(({ name, database, durationSeconds }) => [
        "applied",
        name,
        database,
        formatDuration(durationSeconds),
      ])),
      ...applied.flatMap(({ destroyed = [] }) =>
        destroyed.map(({ table, rows }) =>
          `${printable(table)}: ${formatCount(rows, "row")} dropped as declared${
            result.snapshot === null ? "" : `; snapshot ${result.snapshot}`
          }`
        )
      ),
      `${formatCount(applied.length, "migration")} applied. ${placeOf(paths)}`,
    );
  } else {
    lines.push(`Nothing to apply: ${formatCount(known, "migration")} known, none of them pending.`);
  }
  return lines.join("\n");
}

function placeOf(paths: readonly string[]): string {
  const [first = ".", ...others] = [...new Set(paths.map(directoryOf))].toSorted((a, b) =>
    a.length - b.length
  );
  const isOne = others.every((other) => other.startsWith(`${first}/`)) &&
    !paths.some(isLibsqlAddress);
  return isOne
    ? `The databases are in ${printable(first)}/.`
    : "`status` shows where the databases are.";
}

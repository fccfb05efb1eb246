import type { MigrationProgress } from "../engine/apply.ts";
import { CatalystError } from "../base/errors.ts";
import { formatCount, formatDuration } from "../base/format.ts";
import type { SnapshotProgress } from "../snapshot/take.ts";
import type { TakenSnapshots } from "../snapshot/safeguard.ts";
import type { Output } from "../terminal/output.ts";
import type { UpgradeResult } from "../operations/upgrade_options.ts";
import { dryRunFlag, noBackupFlag, refuseTogether, stringFlag } from "./arguments.ts";
import type { Command, CommandContext } from "./command.ts";

/** `upgrade`: applies pending migrations. */
export const command: Command = {
  name: "upgrade",
  summary: "apply all pending migrations (the default command)",
  flags: {
    "migration": { type: "string", value: "ID", help: "apply only this one" },
    "to": { type: "string", value: "ID", help: "apply up to this one" },
    "out-of-order": {
      type: "boolean",
      help: "apply a migration that sorts before one that is applied already",
    },
    "dry-run": dryRunFlag,
    "no-backup": noBackupFlag,
  },
  examples: [
    ["upgrade", "create or update the databases in data/"],
    ["upgrade --dry-run", "show what would run, and what it does"],
    ["upgrade --to 002 --data-dir ~/bot/data", "stop after migration 002"],
  ],
  run: async ({ flags, migrator, output }: CommandContext) => {
    const migration = stringFlag(flags, "migration");
    const to = stringFlag(flags, "to");
    refuseTogether("upgrade", flags, ["migration", "to"]);
    const request = {
      ...(migration === undefined ? {} : { migration }),
      ...(to === undefined ? {} : { to }),
      outOfOrder: flags["out-of-order"] === true,
    };
    if (flags["dry-run"]) {
      const plan = await migrator.planUpgrade({ ...request, effects: true });
      const { planAsJson, renderPlan } = await import("./render.ts");
      output.json(planAsJson(plan));
      output.answer(renderPlan(plan));
      return 0;
    }
    const interruption = new AbortController();
    using listening = new DisposableStack();
    const applied: MigrationProgress[] = [];
    try {
      const result = await migrator.upgrade({
        ...request,
        backup: !flags["no-backup"],
        signal: interruption.signal,
        onWork: async () => {
          const { abortOnInterrupt } = await import("../terminal/progress.ts");
          listening.use(abortOnInterrupt(interruption));
        },
        onSnapshot: copyNotice(output),
        onProgress: (progress) => {
          tell(output, progress);
          if (progress.kind === "finished") applied.push(progress);
        },
      });
      output.json({ ok: true, ...asJson(result), failed: null });
      output.answer(await renderUpgrade(result, migrator.ids.length));
      return 0;
    } catch (error) {
      if (!(error instanceof CatalystError) || error.progress === undefined) throw error;
      const { done, adopted, reconciled, failed } = error.progress;
      if (done.length > 0) {
        output.narrate(`Applied before the failure, and kept: ${done.join(", ")}`);
      }
      const { reportOf } = await import("../terminal/error_report.ts");
      await output.error(error, {
        applied: applied.map(appliedAsJson),
        adopted,
        reconciled,
        failed: failed === null ? null : { id: failed, error: reportOf(error) },
      });
      return 1;
    }
  },
};

/** Says on stderr what is being done, with `--verbose`. */
export function tell(output: Output, progress: MigrationProgress): void {
  const verb = progress.direction === "upgrade" ? "applying" : "rolling back";
  if (progress.kind === "started") {
    output.detail(`${verb} ${progress.name} in ${progress.database}`);
  }
}

function asJson(
  { applied, ...others }: UpgradeResult,
): Record<string, unknown> {
  return {
    applied: applied.map(appliedAsJson),
    ...others,
  };
}

function appliedAsJson(
  { id, database, durationSeconds }: Pick<
    MigrationProgress,
    "id" | "database" | "durationSeconds"
  >,
): Record<string, unknown> {
  return { id, database, durationSeconds };
}

/** The outcome of an upgrade in words. */
export async function renderUpgrade(result: UpgradeResult, known: number): Promise<string> {
  const { applied, adopted, reconciled } = result;
  const lines = renderReconciliation({ adopted, reconciled });
  lines.push(...renderSnapshots(result));
  if (applied.length > 0) {
    const { renderTable } = await import("../base/format.ts");
    lines.push(
      renderTable(applied.map(({ name, database, durationSeconds }) => [
        "applied",
        name,
        database,
        formatDuration(durationSeconds),
      ])),
      `${formatCount(applied.length, "migration")} applied.`,
    );
  } else {
    lines.push(`Nothing to apply: ${formatCount(known, "migration")} known, none of them pending.`);
  }
  return lines.join("\n");
}

/** Says once for each database that a snapshot of it is being taken, where that takes a while. */
export function copyNotice(output: Output): (progress: SnapshotProgress) => void {
  const told = new Set<string>();
  return ({ database, done, total }) => {
    if (done === total || told.has(database)) return;
    told.add(database);
    output.narrate(`copying ${database} into a snapshot first (--no-backup skips it)`);
  };
}

/** Where to go back to, in words. */
export function renderSnapshot(name: string): string {
  return `took snapshot ${name} first; \`restore ${name}\` goes back`;
}

/** The same of all that were taken. */
export function renderSnapshots({ snapshot, laterSnapshots = [] }: TakenSnapshots): string[] {
  return [
    ...snapshot === null ? [] : [renderSnapshot(snapshot)],
    ...laterSnapshots.map((name) =>
      `took snapshot ${name} later, since others wrote meanwhile; what they wrote is in it`
    ),
  ];
}

/** What reconciling did, in words; nothing where it did nothing. */
export function renderReconciliation(
  { adopted, reconciled }: {
    readonly adopted: readonly string[];
    readonly reconciled: readonly string[];
  },
): string[] {
  return [
    ...adopted.length === 0 ? [] : [
      `adopted ${adopted.join(", ")}: the tables were there already; only markers were written`,
    ],
    ...reconciled.length === 0 ? [] : [
      `corrected the ledger for ${reconciled.join(", ")}: it did not say what the databases say`,
    ],
  ];
}

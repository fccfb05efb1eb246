import { isLibsqlAddress } from "../database/location.ts";
import { directoryOf } from "../base/paths.ts";
import { formatCount, formatDuration, printable, renderTable } from "../base/format.ts";
import { abortOnInterrupt } from "../base/event_loop.ts";
import type { MigrationProgress } from "../engine/apply.ts";
import type { Migration } from "../migration/migration.ts";
import type { DowngradePlan, Loss } from "../operations/downgrade.ts";
import type { UpgradeOptions, UpgradePlan, UpgradeResult } from "../operations/apply_pending.ts";
import type { TakenSnapshots } from "../snapshot/safeguard.ts";
import type { SnapshotProgress } from "../snapshot/take.ts";
import type { Output } from "../terminal/output.ts";
import type { MigrationEffects, RowEffect } from "../trial/effects.ts";
import type { CommandContext } from "./arguments.ts";
import type { Documents } from "./documents.ts";
import type { MigrationsProgress } from "./progress.ts";

/** What an upgrade would do, as data. */
export function planAsJson(
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
export function renderPlan({ apply, adopt, reconcile, effects }: UpgradePlan): string {
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

/** Prints on stderr what is being done, with `--verbose`. */
export function tell(output: Output, progress: MigrationProgress): void {
  const verb = progress.direction === "upgrade" ? "applying" : "rolling back";
  if (progress.kind === "started") {
    output.detail(`${verb} ${progress.name} in ${progress.database}`);
  }
}

/** The result of an upgrade as text. */
export async function renderUpgrade(
  result: UpgradeResult,
  { known, paths }: {
    /** Number of known migrations. */
    readonly known: number;
    /** Paths of the databases; if they are in one directory, only that is named. */
    readonly paths: readonly string[];
  },
): Promise<string> {
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

/** Prints, once for each database, that a snapshot of it is being taken, if that takes a while. */
export function copyNotice(output: Output): (progress: SnapshotProgress) => void {
  const told = new Set<string>();
  return ({ database, done, total }) => {
    if (done === total || told.has(database)) return;
    told.add(database);
    output.narrate(`copying ${database} into a snapshot first (--no-backup skips it)`);
  };
}

/** Shows the progress of migrations, and stops them on Ctrl-C. */
export interface FollowedMigrations extends Disposable {
  /** Options for the migrator. */
  readonly options: Pick<UpgradeOptions, "signal" | "onWork" | "onSnapshot"> & {
    readonly onProgress: (progress: MigrationProgress) => void;
  };
  /** Ends it, before anything else is printed. */
  end(): void;
}

/** Follows migrations: on a terminal with a progress line, otherwise with messages. */
export function followMigrations(
  context: Pick<CommandContext, "migrator" | "output">,
): FollowedMigrations {
  const { output } = context;
  const interruption = new AbortController();
  const noteCopy = copyNotice(output);
  const stack = new DisposableStack();
  let line: MigrationsProgress | null = null;
  const end = () => stack.dispose();
  return {
    options: {
      signal: interruption.signal,
      onWork: async ({ length }) => {
        stack.use(abortOnInterrupt(interruption));
        // Only a terminal needs the module.
        if (!Deno.stderr.isTerminal()) return;
        const { progressOfMigrations } = await import("./progress.ts");
        line = stack.use(progressOfMigrations(context, length));
      },
      onSnapshot: (progress) => line === null ? noteCopy(progress) : line.copying(progress),
      onProgress: (progress) => {
        line?.migrating(progress);
        tell(output, progress);
      },
    },
    end,
    [Symbol.dispose]: end,
  };
}

/** Names the snapshot taken before a change. */
export function renderSnapshot(name: string): string {
  return `took snapshot ${name} first; \`restore ${name}\` goes back`;
}

/** Names all snapshots taken. */
export function renderSnapshots({ snapshot, laterSnapshots = [] }: TakenSnapshots): string[] {
  return [
    ...snapshot === null ? [] : [renderSnapshot(snapshot)],
    ...laterSnapshots.map((name) =>
      `took snapshot ${name} later, because others wrote in the meantime; it has their rows`
    ),
  ];
}

/** What reconciling did as text; empty if it did nothing. */
export function renderReconciliation(
  { adopted, reconciled }: {
    readonly adopted: readonly string[];
    readonly reconciled: readonly string[];
  },
): string[] {
  return [
    ...adopted.length === 0 ? [] : [
      `adopted ${
        printable(adopted.join(", "))
      }: the tables existed already; only markers were written`,
    ],
    ...reconciled.length === 0 ? [] : [
      `corrected the ledger for ${
        printable(reconciled.join(", "))
      }: it differed from the databases`,
    ],
  ];
}

/** Shows what would be lost, and asks for confirmation unless `--yes` is given. */
export function confirmLosses(
  { flags, output }: Pick<CommandContext, "flags" | "output">,
): (plan: DowngradePlan) => Promise<boolean> {
  return async (plan) => {
    output.narrate(renderLosses(plan.losses).split("\n"));
    if (flags.yes) return true;
    const { confirm } = await import("../terminal/interaction.ts");
    return await confirm(`Roll back ${plan.rollBack.map(({ id }) => id).join(", ")}?`);
  };
}

/** What would be rolled back and lost, as text. */
export function renderRollback({ rollBack, losses }: DowngradePlan): string {
  const declared = rollBack.filter(({ destroys = [] }) => destroys.length > 0);
  const isSafe = declared.length > 0 && losses.every(({ rows }) => rows === 0);
  return [
    ...rollBack.map(({ name, database }) => printable(`would roll back ${name} in ${database}`)),
    ...isSafe ? [] : [renderLosses(losses)],
    ...declared.map(({ name, destroys = [] }) =>
      printable(`${name} declares that it may delete rows of ${destroys.join(", ")}`)
    ),
    "Nothing was changed.",
  ].join("\n");
}

function renderLosses(losses: readonly Loss[]): string {
  const lost = losses.filter(({ rows }) => rows > 0);
  if (lost.length === 0) return "No rows are lost.";
  const rows = lost.map(({ database, table, rows, columns }) => [
    printable(`${database}.${table}`),
    formatCount(rows, "row"),
    columns === undefined ? "" : printable(`values of ${columns.join(", ")}`),
  ]);
  return `This will lose:\n${renderTable(rows, { indent: 2, align: ["left", "right"] })}`;
}

/** Text for rows that violate a CHECK. */
export function violatesCheck(rows: number, table: string): string {
  return `${formatCount(rows, "row")} of ${printable(table)} ${
    rows === 1 ? "violates" : "violate"
  } a CHECK constraint`;
}

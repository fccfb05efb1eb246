/**
 * Text that several commands print: progress, snapshots, plans, findings and failures.
 *
 * @module
 */
import { CatalystError, type Progress, type SerializedError } from "../base/errors.ts";
import { formatCount, formatDate, formatDuration } from "../base/format.ts";
import { printable, renderTable, type Style } from "../terminal/text.ts";
import { abortOnInterrupt } from "../base/event_loop.ts";
import type { ImportPlan } from "../dump/import.ts";
import type { MigrationProgress } from "../engine/apply.ts";
import type { DowngradePlan } from "../operations/downgrade.ts";
import type { Loss } from "../operations/rollback_losses.ts";
import type { UpgradeOptions } from "../operations/run_migrations.ts";
import type { DatabaseVerification, Verification } from "../operations/verify.ts";
import type { Finding } from "../schema/model.ts";
import type { RestoreResult } from "../snapshot/journal.ts";
import type { RestoreChange } from "../snapshot/restore.ts";
import type { TakenSnapshots } from "../snapshot/safeguard.ts";
import type { SnapshotProgress } from "../snapshot/take.ts";
import type { LedgerEvent } from "../state/ledger.ts";
import { type Output, reportOf, screenWidth } from "../terminal/output.ts";
import type { CommandContext } from "./command.ts";
import type { MigrationsProgress } from "./progress.ts";

/** Prints on stderr what is being done, with `--verbose`. */
export function tellProgress(output: Output, progress: MigrationProgress): void {
  const verb = progress.direction === "upgrade" ? "applying" : "rolling back";
  if (progress.kind === "started") {
    output.detail(`${verb} ${progress.name} in ${progress.database}`);
  }
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
        tellProgress(output, progress);
      },
    },
    end,
    [Symbol.dispose]: end,
  };
}

/** Names the snapshots taken before and during a change. */
export function renderSnapshots({ snapshot, laterSnapshots = [] }: TakenSnapshots): string[] {
  return [
    ...snapshot === null ? [] : [
      `took snapshot ${snapshot} first; \`restore ${snapshot}\` goes back`,
    ],
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

/** Shows what would change, and asks for confirmation unless `--yes` is given. */
export async function confirmPlan(
  { flags, output }: Pick<CommandContext, "flags" | "output">,
  { plan, question }: { readonly plan: string; readonly question: string },
): Promise<boolean> {
  output.narrate(plan.split("\n"));
  if (flags.yes) return true;
  const { confirm } = await import("../terminal/interaction.ts");
  return await confirm(question);
}

/** Shows what would be lost, and asks for confirmation. */
export function confirmLosses(
  context: Pick<CommandContext, "flags" | "output">,
): (plan: DowngradePlan) => Promise<boolean> {
  return ({ rollBack, losses }) =>
    confirmPlan(context, {
      plan: renderLosses(losses),
      question: `Roll back ${rollBack.map(({ id }) => id).join(", ")}?`,
    });
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

/** Events as a table, newest first. */
export function renderEvents(events: readonly LedgerEvent[]): string {
  return renderTable(
    events.map((event) => [
      formatDate(event.startedAt),
      whatOf(event),
      printable(event.name),
      event.durationSeconds === null ? "-" : formatDuration(event.durationSeconds),
    ]),
    {
      header: ["WHEN (UTC)", "WHAT", "MIGRATION", "TOOK"],
      screen: screenWidth(),
      notes: events.map(({ error, detail }) => printable(error ?? detail ?? "")),
    },
  );
}

/** What was done, and the outcome; `downgrade rolled_back` would be redundant. */
function whatOf({ direction, outcome }: LedgerEvent): string {
  return direction === "downgrade" && outcome === "rolled_back"
    ? "rolled back"
    : `${direction} ${outcome.replace("_", " ")}`;
}

/** How to show a verification. */
interface VerificationOptions {
  readonly style: Style;
  /** Whether to leave out notices, and databases without problems. Default `false`. */
  readonly isBrief?: boolean;
}

/** The findings as text. */
export function renderVerification(
  { ok, databases }: Verification,
  { style, isBrief = false }: VerificationOptions,
): string {
  const shown = isBrief
    ? databases.filter((one) => !one.ok).map((one) => ({ ...one, notices: [] }))
    : databases;
  return [
    ...shown.map((database) => renderDatabase(database, style)),
    ok ? "No problems found." : "Problems were found.",
  ].join("\n");
}

function renderDatabase(
  { name, path, ok, problems, notices, hash }: DatabaseVerification,
  style: Style,
): string {
  return [
    `${name} (${printable(path)}): ${ok ? style.green("ok") : style.red("not ok")}`,
    ...hash === null ? [] : [`  sha256 ${hash}`],
    ...problems.map((problem) => renderFinding("problem", problem)),
    ...notices.map((notice) => renderFinding("notice", notice)),
  ].join("\n");
}

/** A finding, and what to do about it. */
export function renderFinding(label: string, { detail, fix }: Finding): string {
  return `  ${label}: ${printable(detail)}\n    fix: ${printable(fix)}`;
}

/** The restore that a command has finished first. */
export function renderFinishedRestore(
  { snapshot, restored, laterSnapshots = [], movedAside = [] }: RestoreResult,
): string {
  const kept = laterSnapshots.length === 0
    ? ""
    : `; their data from before that is in snapshot ${laterSnapshots.join(", ")}`;
  const moved = renderMovedAside({ movedAside }).map((line) => `; ${line.slice(0, -1)}`).join("");
  return `finished first what was interrupted: ${
    restored.join(", ")
  } from ${snapshot}${kept}${moved}`;
}

/** Where damaged databases were moved, because no snapshot of them could be taken. */
export function renderMovedAside({ movedAside = [] }: Pick<RestoreResult, "movedAside">): string[] {
  return movedAside.map(({ database, path }) =>
    `${database} was damaged, so no snapshot of it was taken: its file was moved to ${
      printable(path)
    }.`
  );
}

/** Says which files no command covers, if there are any. */
export async function tellUncovered(
  uncovered: readonly string[],
  { configuration, output }: Pick<CommandContext, "configuration" | "output">,
): Promise<void> {
  if (uncovered.length === 0) return;
  const { describeUncovered } = await import("../state/uncovered_files.ts");
  const { detail, help } = describeUncovered(uncovered, {
    hasConfiguration: configuration !== null,
  });
  output.narrate(`${detail}; ${help}`);
}

/** How to show the rows of each table before and after a change. */
interface RowChangesOptions {
  readonly indent: number;
  /** Rows that would be deleted or changed, by table. */
  readonly lost?: ImportPlan["lost"] | undefined;
}

/** The rows of each table before and after a change. */
export function renderRowChanges(
  { now, isDamaged, then }: Pick<RestoreChange, "now" | "isDamaged" | "then">,
  { indent, lost }: RowChangesOptions,
): string {
  const tables = new Set([...Object.keys(now?.rows ?? {}), ...Object.keys(then.rows)]);
  const count = (rows: number | undefined) =>
    rows === undefined ? "missing" : formatCount(rows, "row");
  return renderTable(
    [...tables].map((table) => [
      printable(table),
      isDamaged ? "unknown" : count(now?.rows[table]),
      "->",
      count(then.rows[table]),
      ...lost === undefined ? [] : [`(${lost[table] ?? 0} lost or changed)`],
    ]),
    { indent, align: ["left", "right", "left", "right"] },
  );
}

/** What a command reports that stopped at a migration. */
interface Stopped {
  /** The migration that failed; null if something else did. */
  readonly failed: { readonly id: string; readonly error: SerializedError } | null;
}

/**
 * Reports the failure of a command that may have changed something before.
 *
 * @throws the error if it has no progress.
 * @returns the exit code.
 */
export async function reportStopped<Document extends Stopped>(
  error: unknown,
  { output, before, document }: {
    readonly output: Output;
    /** What the command had done with the migrations that are listed. */
    readonly before: string;
    /** The rest of the JSON document. */
    readonly document: (progress: Progress) => Omit<Document, keyof Stopped | "ok" | "error">;
  },
): Promise<number> {
  if (!(error instanceof CatalystError) || error.progress === undefined) throw error;
  const { done, failed } = error.progress;
  if (done.length > 0) output.narrate(`${before}: ${done.join(", ")}`);
  output.error(error, {
    ...document(error.progress),
    failed: failed === null ? null : { id: failed, error: reportOf(error) },
  });
  const { exitCodeOf } = await import("./exit_code.ts");
  return exitCodeOf(error);
}

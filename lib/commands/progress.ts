import { InterruptedError } from "../base/errors.ts";
import { abortOnInterrupt } from "../base/event_loop.ts";
import { sizeOf } from "../base/paths.ts";
import { partOfWork, type WorkStep } from "../base/steps.ts";
import type { MigrationProgress } from "../engine/apply.ts";
import type { SnapshotProgress } from "../snapshot/take.ts";
import { createProgress, type ProgressLine } from "../terminal/progress.ts";
import type { CommandContext } from "./arguments.ts";

/** Creates the progress line of work on the databases. */
export function progressOf(
  { migrator, output }: Pick<CommandContext, "migrator" | "output">,
): ProgressLine {
  const bytes = migrator.databases.reduce((sum, name) => sum + bytesOf(migrator.pathOf(name)), 0);
  return createProgress(output, { bytes });
}

/**
 * Creates the progress line of a command that Ctrl-C may end at any step, with a message, because
 * nothing has been changed by then.
 */
export function interruptibleProgressOf(
  context: Pick<CommandContext, "migrator" | "output">,
): ProgressLine {
  const interruption = new AbortController();
  const listening = abortOnInterrupt(interruption);
  const line = progressOf(context);
  const show: ProgressLine["show"] = (...shown) => {
    if (interruption.signal.aborted) {
      throw new InterruptedError("Cannot continue: interrupted", { help: "nothing was changed" });
    }
    line.show(...shown);
  };
  return {
    ...line,
    show,
    step: ({ what, share, until }) => show(what, share, until),
    [Symbol.dispose]: () => {
      line[Symbol.dispose]();
      listening[Symbol.dispose]();
    },
  };
}

function bytesOf(path: string): number {
  try {
    return sizeOf(path) ?? 0;
  } catch {
    return 0; // it is on a server, or reported where it is used
  }
}

/** The progress of a snapshot as a step of work. */
export function snapshotStep({ database, step, done, until, total }: SnapshotProgress): WorkStep {
  const all = Math.max(1, total);
  const verb = step === "copy" ? "copying" : "checking the copy of";
  return { what: `${verb} ${database}`, share: done / all, until: until / all };
}

/** The progress line of migrations. */
export interface MigrationsProgress extends Disposable {
  /** Shows the progress of the snapshot before them. */
  copying(progress: SnapshotProgress): void;
  /** Shows which one is running. */
  migrating(progress: MigrationProgress): void;
}

/** The share of the work that is the snapshot. */
const KEEPING = 0.5;

/** Creates the progress line of so many migrations. */
export function progressOfMigrations(
  context: Pick<CommandContext, "migrator" | "output">,
  count: number,
): MigrationsProgress {
  const progress = progressOf(context);
  let done = 0;
  const shareOf = (migrations: number) =>
    Math.min(1, KEEPING + (1 - KEEPING) * migrations / Math.max(1, count));
  return {
    copying: (state) => partOfWork(progress.step, [0, KEEPING])?.(snapshotStep(state)),
    migrating: ({ kind, name, direction }) => {
      const verb = direction === "upgrade" ? "applying" : "rolling back";
      if (kind === "started") progress.show(`${verb} ${name}`, shareOf(done), shareOf(done + 1));
      else done++;
    },
    [Symbol.dispose]: () => progress[Symbol.dispose](),
  };
}

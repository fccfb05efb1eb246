/**
 * Shows the progress of a command, and ends its work on Ctrl-C.
 *
 * @module
 */
import { InterruptedError } from "../base/errors.ts";
import { abortOnInterrupt } from "../base/event_loop.ts";
import { sizeOf } from "../base/paths.ts";
import { partOfWork, type WorkStep } from "../base/steps.ts";
import type { MigrationProgress } from "../engine/apply.ts";
import type { SnapshotProgress } from "../snapshot/take.ts";
import { createProgress, type ProgressLine } from "../terminal/progress.ts";
import type { CommandContext } from "./command.ts";

/** What a command writes its progress about, and to. */
type WorkContext = Pick<CommandContext, "migrator" | "output">;

/** Creates the progress line of work on the databases. */
function progressOf({ migrator, output }: WorkContext): ProgressLine {
  const bytes = migrator.databases.reduce((sum, name) => sum + bytesOf(migrator.pathOf(name)), 0);
  return createProgress(output, { bytes });
}

/** Long work: its progress line, and the signal of Ctrl-C. */
export interface FollowedWork extends ProgressLine {
  readonly signal: AbortSignal;
}

/** Follows work that Ctrl-C stops by a signal; by default it is work on the databases. */
export function followWork(
  context: WorkContext,
  line: ProgressLine = progressOf(context),
): FollowedWork {
  const interruption = new AbortController();
  const listening = abortOnInterrupt(interruption);
  return {
    ...line,
    signal: interruption.signal,
    [Symbol.dispose]: () => {
      line[Symbol.dispose]();
      listening[Symbol.dispose]();
    },
  };
}

/** Follows work that Ctrl-C ends at any step, with a message, because it changes nothing until then. */
export function followReading(context: WorkContext): ProgressLine {
  const work = followWork(context);
  const show: ProgressLine["show"] = (...shown) => {
    if (work.signal.aborted) {
      throw new InterruptedError("Cannot continue: interrupted", { help: "nothing was changed" });
    }
    work.show(...shown);
  };
  return { ...work, show, step: ({ what, share, until }) => show(what, share, until) };
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
  context: WorkContext,
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

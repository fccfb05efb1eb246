/**
 * Runs a command in each of several data directories.
 *
 * @module
 */
import { serializeError, UsageError } from "../base/errors.ts";
import { INTERRUPTED } from "../base/event_loop.ts";
import { formatCount } from "../base/format.ts";
import { printable, renderTable } from "../terminal/text.ts";
import { isAbsolute } from "../base/paths.ts";
import type { Output } from "../terminal/output.ts";
import { exitCodeOf } from "./exit_code.ts";
import { withoutSlash } from "./flags.ts";

/**
 * The directories that `--data-dir` names; `*` matches any part of a name. The program expands it, so
 * that it also works without a shell.
 *
 * @throws {UsageError} if a pattern matches no directory.
 */
export function expandDirectories(patterns: readonly string[]): string[] {
  const found = patterns.flatMap((pattern) => {
    const directories = pattern.includes("*") ? matchesOf(pattern) : [pattern];
    if (directories.length > 0) return directories;
    throw new UsageError(`Cannot use --data-dir "${pattern}": no directory matches`, {
      help: "check the pattern; * matches any part of a directory's name",
    });
  });
  return [...new Set(found.map((path) => withoutSlash(path)))];
}

function matchesOf(pattern: string): string[] {
  let bases = [isAbsolute(pattern) ? "/" : ""];
  for (const part of pattern.split("/").filter((part) => part !== "")) {
    bases = bases.flatMap((base) =>
      (part.includes("*") ? namesIn(base, part) : [part]).map((name) => `${base}${name}/`)
    );
  }
  return bases.filter(isDirectory);
}

function namesIn(base: string, pattern: string): string[] {
  const parts = pattern.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  const regex = new RegExp(`^${parts.join(".*")}$`);
  try {
    return [...Deno.readDirSync(base === "" ? "." : base)]
      .map(({ name }) => name)
      .filter((name) => regex.test(name) && (!name.startsWith(".") || pattern.startsWith(".")))
      .sort();
  } catch (error) {
    const { NotADirectory, NotFound } = Deno.errors;
    if (error instanceof NotFound || error instanceof NotADirectory) return [];
    throw error;
  }
}

function isDirectory(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

/** The outcome for one directory. */
interface Outcome {
  readonly directory: string;
  readonly exitCode: number;
  /** Its JSON document, with `--json`. */
  readonly document: unknown;
  /** The error's message; empty if it succeeded. */
  readonly error: string;
}

/** Options for working on several directories. */
export interface ManyOptions {
  readonly directories: readonly string[];
  readonly output: Output;
  /** Whether a failure ends the run. */
  readonly stopAtFirst: boolean;
  /** Works in one directory. */
  readonly work: Work;
  /** Checks the work in the first directory; a failure of either ends the run. */
  readonly prove: Work | null;
}

/** Works in a directory; returns the exit code. */
type Work = (directory: string, output: Output) => Promise<number>;

/**
 * Works on several data directories, one after the other. A failure in one does not stop the others,
 * unless an option says so. The result is a table, or an array in JSON mode. An interruption ends the
 * run.
 *
 * @returns the exit code: 1 if any failed, 130 if it was interrupted.
 */
export async function runInEach(options: ManyOptions): Promise<number> {
  const { directories, output, stopAtFirst, work, prove } = options;
  const outcomes: Outcome[] = [];
  for (const directory of directories) {
    const proof = outcomes.length === 0 ? prove : null;
    const outcome = await runIn(directory, output, async (own) => {
      const code = await work(directory, own);
      return code === 0 && proof !== null ? await proof(directory, own) : code;
    });
    outcomes.push(outcome);
    if (outcome.exitCode === INTERRUPTED) break;
    if (outcome.exitCode !== 0 && (stopAtFirst || proof !== null)) break;
  }
  const left = directories.length - outcomes.length;
  if (output.isJson) {
    output.json(outcomes.map(({ directory, exitCode, document }) => ({
      directory,
      exitCode,
      ...(typeof document === "object" ? document : {}),
    })));
  } else {
    const failed = outcomes.filter(({ exitCode }) => exitCode !== 0).length;
    if (failed > 0 || left > 0) output.answer(renderOutcomes(outcomes, directories));
    else output.narrate(renderOutcomes(outcomes, directories).split("\n"));
    if (left > 0) {
      output.warn(
        `${formatCount(left, "directory")} skipped after a failure in ${
          outcomes.at(-1)?.directory
        }`,
      );
    }
  }
  if (outcomes.at(-1)?.exitCode === INTERRUPTED) return INTERRUPTED;
  return outcomes.some(({ exitCode }) => exitCode !== 0) ? 1 : 0;
}

async function runIn(
  directory: string,
  output: Output,
  work: (output: Output) => Promise<number>,
): Promise<Outcome> {
  let document: unknown = null;
  let failure = "";
  let isTitled = false;
  // The title goes to the same stream as the first text: above the answer, even with `--quiet`.
  const title = (write: (text: string) => void): void => {
    if (!isTitled) write(output.narrationStyle.bold(`== ${directory}`));
    isTitled = true;
  };
  const own: Output = {
    ...output,
    answer: (text) => {
      title(output.answer);
      output.answer(text);
    },
    report: (text) => {
      if (!output.isQuiet) own.answer(text);
    },
    narrate: (text) => {
      if (output.isQuiet) return;
      title(output.narrate);
      output.narrate(text);
    },
    warn: (text) => output.warn(isTitled ? text : `${directory}: ${text}`),
    json: (value) => {
      document = value;
    },
    error: (error, extra = {}) => {
      const report = serializeError(error);
      failure = report.message;
      if (output.isJson) document = { ok: false, ...extra, error: report };
      else {
        title(output.narrate);
        output.error(error);
      }
    },
  };
  let exitCode: number;
  try {
    exitCode = await work(own);
  } catch (error) {
    own.error(error);
    exitCode = exitCodeOf(error);
  }
  return { directory, exitCode, document, error: failure };
}

function renderOutcomes(outcomes: readonly Outcome[], directories: readonly string[]): string {
  const reached = new Map(outcomes.map((one) => [one.directory, one]));
  return renderTable(
    directories.map((directory) => {
      const outcome = reached.get(directory);
      const result = outcome === undefined
        ? "skipped"
        : outcome.exitCode === 0
        ? "ok"
        : `failed: ${outcome.error || "see above"}`;
      return [printable(directory), printable(result)];
    }),
    { header: ["DIRECTORY", "RESULT"] },
  );
}

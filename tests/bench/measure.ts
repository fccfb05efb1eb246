/** Measures complete processes in turns, so that a busy period of the machine affects all of them. */

/** A command line: the program and its arguments. */
export type CommandLine = readonly [program: string, ...args: string[]];

/** A candidate: one command, or several that do one job together. */
export interface Candidate {
  /** Name in the report. */
  readonly name: string;
  /** Commands of one run, in sequence; their times are added. */
  readonly commands: readonly CommandLine[];
  /** Prepares the files for each run; not measured. */
  readonly prepare?: () => void;
}

/** The measurements of one candidate. */
export interface Timing {
  /** Median wall time of a run in milliseconds. */
  readonly medianMs: number;
  /** Shortest wall time of a run in milliseconds. */
  readonly minMs: number;
}

/** Options of {@link measure}. */
export interface MeasureOptions {
  /** Measured runs. Default 15. */
  readonly runs?: number;
  /** Unmeasured runs before them. Default 1. */
  readonly warmUps?: number;
}

/** Results by candidate, or the error if a command failed. */
export type Timings = ReadonlyMap<string, Timing | Error>;

/** Runs the candidates in turns, A B C A B C …; a failed one is skipped from then on. */
export function measure(candidates: readonly Candidate[], options: MeasureOptions = {}): Timings {
  const { runs = 15, warmUps = 1 } = options;
  const times = new Map<string, number[] | Error>(candidates.map(({ name }) => [name, []]));
  for (let round = -warmUps; round < runs; round++) {
    for (const candidate of candidates) {
      const own = times.get(candidate.name);
      if (!Array.isArray(own)) continue;
      try {
        const elapsed = timeOf(candidate);
        if (round >= 0) own.push(elapsed);
      } catch (error) {
        times.set(candidate.name, error instanceof Error ? error : new Error(String(error)));
      }
    }
  }
  return new Map([...times].map(([name, own]) => [name, Array.isArray(own) ? summary(own) : own]));
}

/** Median of at least one number; the mean of the middle two of an even count. */
export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.floor((sorted.length - 1) / 2)];
  if (upper === undefined || lower === undefined) throw new RangeError("No numbers");
  return (lower + upper) / 2;
}

/**
 * Runs a command, waits for its end and returns its stderr.
 *
 * @throws {Error} if it cannot be started or fails.
 */
export function runToEnd([program, ...args]: CommandLine): string {
  // Without colour, because error messages are part of the report.
  const env = { NO_COLOR: "1" };
  const command = new Deno.Command(program, { args, env, stdin: "null", stdout: "null" });
  const { success, code, stderr } = command.outputSync();
  const text = new TextDecoder().decode(stderr).trim();
  if (success) return text;
  throw new Error(text.split("\n").findLast((line) => /error/i.test(line)) ?? `exit code ${code}`);
}

function timeOf({ commands, prepare }: Candidate): number {
  prepare?.();
  const start = performance.now();
  for (const command of commands) runToEnd(command);
  return performance.now() - start;
}

function summary(times: readonly number[]): Timing {
  return { medianMs: median(times), minMs: Math.min(...times) };
}

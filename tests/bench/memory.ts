import { type CommandLine, runToEnd } from "./measure.ts";

/** Why peak memory cannot be measured here; `null` if it can. GNU `time` measures it. */
export function reasonForNoMemory(): string | null {
  try {
    peakBytes(["true"]);
    return null;
  } catch {
    return "GNU `time`, which measures the peak memory of a process, is not on the PATH";
  }
}

/**
 * Peak resident memory of a command in bytes.
 *
 * @throws {Error} if the command fails, or GNU `time` is missing.
 */
export function peakBytes(command: CommandLine): number {
  const report = runToEnd(["time", "-f", "peak %M", ...command]);
  const kibibytes = /^peak (\d+)$/m.exec(report)?.[1];
  if (kibibytes === undefined) throw new Error("Cannot read what `time` wrote");
  return Number(kibibytes) * 1024;
}

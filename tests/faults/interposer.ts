/** Builds the interposer and runs the command line with it. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cliCommand } from "../helpers.ts";

/** A system call that changes files. */
export type Call = "write" | "sync" | "rename" | "unlink" | "truncate";

/** A fault at a call. */
export interface Fault {
  /** Number of the call, starting at 1; 0 lets all calls through. */
  readonly at: number;
  /**
   * `kill` ends the process before the call, `tear` during a write. `fail` makes the call fail, and
   * `fill` also every write after it, as on a full disk.
   */
  readonly action: "kill" | "tear" | "fail" | "fill";
}

/** Error numbers of Linux. */
const EIO = 5;
const ENOSPC = 28;

/** The compiled interposer. */
export class Interposer {
  readonly #library: string;

  private constructor(library: string) {
    this.#library = library;
  }

  /** Compiles it into a directory; null if this is not Linux or there is no C compiler. */
  static async build(directory: string): Promise<Interposer | null> {
    if (Deno.build.os !== "linux") return null;
    const library = join(directory, "interposer.so");
    const source = fileURLToPath(new URL("interposer.c", import.meta.url));
    try {
      const { success } = await new Deno.Command("cc", {
        args: ["-O1", "-fPIC", "-shared", "-o", library, source, "-ldl", "-lpthread"],
        stdout: "null",
        stderr: "null",
      }).output();
      return success ? new Interposer(library) : null;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return null;
      throw error;
    }
  }

  /** Runs a command on a directory with a fault; returns its output and how it ended. */
  async run(
    args: readonly string[],
    directory: string,
    fault: Fault,
    env: Readonly<Record<string, string>> = {},
  ): Promise<FaultyRun> {
    const trace = `${this.#library}.trace`;
    await Deno.writeTextFile(trace, "");
    const output = await cliCommand(args, {
      cwd: directory,
      env: {
        ...env,
        LD_PRELOAD: this.#library,
        FAULT_DIR: directory,
        FAULT_AT: String(fault.at),
        FAULT_ACTION: fault.action,
        FAULT_ERRNO: String(fault.action === "fill" ? ENOSPC : EIO),
        FAULT_TRACE: trace,
      },
    }).output();
    const decoder = new TextDecoder();
    return {
      code: output.code,
      killed: output.signal === "SIGKILL",
      said: decoder.decode(output.stdout) + decoder.decode(output.stderr),
      calls: (await Deno.readTextFile(trace)).split("\n").slice(0, -1),
    };
  }
}

/** How a command with a fault ended. */
export interface FaultyRun {
  readonly code: number;
  readonly killed: boolean;
  /** Its output on stdout and stderr. */
  readonly said: string;
  /** The calls that it made, each with the file, such as `rename migrations.restore`. */
  readonly calls: readonly string[];
}

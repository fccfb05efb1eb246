/**
 * Runs command lines in reused processes, because most of the cost of a short command is its process.
 * Each test module has its own processes, which end with it. Tests of the process itself (permissions,
 * signals, stdin, a terminal, a kill) use a separate process.
 */
import { fileURLToPath } from "node:url";
import type { CliResult } from "./helpers.ts";
import { END, type Request } from "./warm_cli_program.ts";

/** Milliseconds after which a process of a test counts as hanging. */
export const PATIENCE = 120_000;

/** How a process is started that runs command lines. */
export interface WarmProgram {
  /** The program and its arguments, among them {@link warmProgram}. */
  readonly command: readonly string[];
  /** Its environment, which has no other variables. Default: the one of the tests. */
  readonly env?: Readonly<Record<string, string>>;
}

/** What Deno runs: takes one command line after another. */
export const warmProgram: string = fileURLToPath(new URL("warm_cli_program.ts", import.meta.url));

const checkout: WarmProgram = {
  command: [Deno.execPath(), "run", "-A", "--quiet", warmProgram],
};

/** Where and with what a command runs. */
export interface WarmOptions {
  readonly cwd?: string | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** What runs it. Default: the command line of this checkout. */
  readonly program?: WarmProgram;
}

const idle = new Map<string, WarmProcess[]>();

/** Runs a command line and waits for its end; concurrent commands have different processes. */
export async function runWarm(
  args: readonly string[],
  { cwd = Deno.cwd(), env = {}, program = checkout }: WarmOptions = {},
): Promise<CliResult> {
  const key = JSON.stringify(program);
  const waiting = idle.get(key) ?? [];
  idle.set(key, waiting);
  const process = waiting.pop() ?? new WarmProcess(program);
  const result = await process.run({ args, cwd, env });
  if (result === null) {
    throw new Error(`"${args.join(" ")}" ended its process, or took more than ${PATIENCE} ms`);
  }
  waiting.push(process);
  return result;
}

class WarmProcess {
  readonly #child: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  readonly #stdout: Reader;
  readonly #stderr: Reader;

  constructor({ command: [program = "", ...args], env }: WarmProgram) {
    this.#child = new Deno.Command(program, {
      args,
      clearEnv: env !== undefined,
      env: env ?? { DB_PATH_PREFIX: "", NO_COLOR: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#stdin = this.#child.stdin.getWriter();
    this.#stdout = readerOf(this.#child.stdout);
    this.#stderr = readerOf(this.#child.stderr);
  }

  /** Output and exit code of a command line; null if its process ends instead. */
  async run(request: Request): Promise<CliResult | null> {
    const hangs = AbortSignal.timeout(PATIENCE);
    hangs.onabort = () => this.#child.kill("SIGKILL");
    try {
      await this.#stdin.write(new TextEncoder().encode(`${JSON.stringify(request)}\n`));
      const [answer, stderr] = await Promise.all([this.#stdout(), this.#stderr()]);
      if (answer === null || stderr === null) return null;
      const end = answer.lastIndexOf("\0");
      return { code: Number(answer.slice(end + 1)), stdout: answer.slice(0, end), stderr };
    } finally {
      hangs.onabort = null;
    }
  }
}

/** Reads a stream as text up to the next {@link END}; null if the stream ends before. */
type Reader = () => Promise<string | null>;

function readerOf(stream: ReadableStream<Uint8Array>): Reader {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  return async () => {
    for (;;) {
      const end = text.endsWith(END) ? text.length - END.length : -1;
      if (end >= 0) {
        const found = text.slice(0, end);
        text = "";
        return found;
      }
      const { value, done } = await reader.read();
      if (done) return null;
      text += value;
    }
  };
}

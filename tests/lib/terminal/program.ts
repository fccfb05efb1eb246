/** Runs small programs as separate processes, because terminal code must be observed from outside. */

/** A program's output and exit code. */
export interface ProgramResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Options of {@link runProgram}. */
export interface ProgramOptions {
  /** Its stdin. Default: empty. */
  readonly input?: string;
  /** Output after which it gets its stdin. Default: at once. */
  readonly after?: string;
  /** Width of the terminal of {@link runOnTerminal}. Default: none. */
  readonly columns?: number;
}

const terminalCode = new URL("../../../lib/terminal/", import.meta.url);

/**
 * Arguments for Deno to run a program; it sees the exports of output.ts and interaction.ts, and
 * `errors`, the exports of errors.ts.
 */
export function programArguments(body: string): string[] {
  const code = [
    `import { answerWidth, createOutput, screenWidth } from "${new URL(
      "output.ts",
      terminalCode,
    )}";`,
    `import { canAsk, confirmByWord } from "${new URL("interaction.ts", terminalCode)}";`,
    `import * as errors from "${new URL("../base/errors.ts", terminalCode)}";`,
    body,
  ].join("\n");
  return ["eval", "--quiet", code];
}

/** Runs a program without a terminal. */
export async function runProgram(
  body: string,
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  return await run(new Deno.Command(Deno.execPath(), { args: programArguments(body), ...PIPED }), {
    input: "",
    ...options,
  });
}

/** Runs a program on a terminal that `script` of util-linux makes; stdout and stderr are one. */
export async function runOnTerminal(
  body: string,
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  return await runArgumentsOnTerminal(programArguments(body), options);
}

/** The same for any arguments of Deno. */
export async function runArgumentsOnTerminal(
  denoArguments: readonly string[],
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  const program = [Deno.execPath(), ...denoArguments].map(quoted).join(" ");
  const { columns } = options;
  const command = columns === undefined ? program : `stty cols ${columns}; ${program}`;
  const args = ["--quiet", "--return", "--echo", "never", "--command", command, "/dev/null"];
  const script = new Deno.Command("script", {
    args,
    // A service may have no usable shell, and Deno's messages about its cache are not the program's.
    env: { DENO_LOG: "off", NO_COLOR: "", SHELL: "/bin/sh", TERM: "xterm" },
    ...PIPED,
  });
  const result = await run(script, { input: "", ...options });
  return { ...result, stdout: result.stdout.replaceAll("\r\n", "\n") };
}

/** Why {@link runOnTerminal} can't be used here; `null` if it can. */
export function reasonForNoTerminal(): string | null {
  try {
    const { stdout } = new Deno.Command("script", { args: ["--version"] }).outputSync();
    const version = new TextDecoder().decode(stdout);
    return version.includes("util-linux") ? null : "`script` is not the one of util-linux";
  } catch {
    return "there is no `script` to make a terminal with";
  }
}

const PIPED = { stdin: "piped", stdout: "piped", stderr: "piped" } as const;

async function run(
  command: Deno.Command,
  { input = "", after }: ProgramOptions,
): Promise<ProgramResult> {
  const child = command.spawn();
  const writer = child.stdin.getWriter();
  let isGiven = false;
  const give = async () => {
    if (isGiven) return;
    isGiven = true;
    await writer.write(new TextEncoder().encode(input));
    await writer.close();
  };
  if (after === undefined) await give();
  let stdout = "";
  const errors = new Response(child.stderr).text();
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    stdout += text;
    if (after !== undefined && stdout.includes(after)) await give();
  }
  return { code: (await child.status).code, stdout, stderr: await errors };
}

function quoted(argument: string): string {
  return `'${argument.replaceAll("'", `'\\''`)}'`;
}

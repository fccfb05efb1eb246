/**
 * A process that runs one command line after another; started by `warm_cli.ts`. Its argument is the module
 * of the command line.
 */

/** A command line with where it runs. */
export interface Request {
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Marks the end of a command's output; on stdout the exit code precedes it. */
export const END = "\0end\0";

if (import.meta.main) {
  const { run } = await import(Deno.args[0] ?? "../cli.ts");
  let rest = "";
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const requests = (rest + text).split("\n");
    rest = requests.pop() ?? "";
    for (const request of requests) await answer(JSON.parse(request), run);
  }
}

async function answer(
  { args, cwd, env }: Request,
  run: (args: readonly string[]) => Promise<void>,
): Promise<void> {
  const home = Deno.cwd();
  const before = Object.keys(env).map((name) => [name, Deno.env.get(name)] as const);
  for (const [name, value] of Object.entries(env)) Deno.env.set(name, value);
  Deno.chdir(cwd);
  await run(args);
  Deno.chdir(home); // Windows does not remove the working directory of a process
  for (const [name, value] of before) {
    if (value === undefined) Deno.env.delete(name);
    else Deno.env.set(name, value);
  }
  const encoder = new TextEncoder();
  Deno.stderr.writeSync(encoder.encode(END));
  Deno.stdout.writeSync(encoder.encode(`\0${Deno.exitCode}${END}`));
}

/**
 * The command line: `catalyst-migrate [COMMAND] [OPTIONS]`. Importing this module does nothing;
 * running it runs the command.
 *
 * @module
 */
import { main } from "./lib/commands/main.ts";
import { UsageError } from "./lib/base/errors.ts";

/**
 * Runs the command line of this process and sets its exit code: 0 done or nothing to do, 1 failed or
 * found something, 2 wrong usage. What goes wrong is written to stderr, not thrown. Needs read and write
 * permission on the data directory and on the environment variables that `--help` lists.
 *
 * @example Run a command
 * ```ts
 * import { run } from "@catalyst/migrate/cli";
 *
 * await run(["upgrade", "--quiet", "--data-dir", await Deno.makeTempDir()]);
 * console.assert(Deno.exitCode === 0);
 * ```
 */
export async function run(args: readonly string[] = Deno.args): Promise<void> {
  Deno.exitCode = await main(args, variable);
}

function variable(name: string): string | undefined {
  try {
    return Deno.env.get(name);
  } catch (error) {
    if (!(error instanceof Deno.errors.InvalidData)) throw error;
    throw new UsageError(`Cannot use ${name}: its bytes are no text in UTF-8`, {
      cause: error,
      help: `set ${name} to such a text, or unset it`,
    });
  }
}

if (import.meta.main) {
  await run();
  // All is written; taking the runtime down step by step would only take time.
  Deno.exit();
}

/**
 * The command line: `catalyst-migrate [COMMAND] [OPTIONS]`. Importing this module does nothing;
 * running it runs the command.
 *
 * @module
 */
import { main } from "./lib/commands/main.ts";

/**
 * Runs the command line of this process and sets its exit code. Needs read and write permission on
 * the data directory and on the environment variables that `--help` lists.
 *
 * @example Run a command
 * ```ts no-eval
 * import { run } from "@catalyst/migrate/cli";
 *
 * await run(["status", "--data-dir", "data"]);
 * ```
 */
export async function run(args: readonly string[] = Deno.args): Promise<void> {
  Deno.exitCode = await main(args, (name) => Deno.env.get(name));
}

if (import.meta.main) {
  await run();
  // All is written; taking the runtime down step by step would only take time.
  Deno.exit();
}

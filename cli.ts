/**
 * The command line: `catalyst-migrate [COMMAND] [OPTIONS]`. Importing this module does nothing;
 * running it runs the command.
 *
 * @module
 */
import { main } from "./lib/commands/main.ts";
import { UsageError } from "./lib/base/errors.ts";

// Deno reads the source map of each module that is the first to import another one, and large modules
// have large maps. This small one is the first to import what `status` and `upgrade` load.
import "./lib/base/event_loop.ts";
import "./lib/base/format.ts";
import "./lib/base/paths.ts";
import "./lib/base/version.ts";
import "./lib/catalyst.ts";
import "./lib/commands/flags.ts";
import "./lib/commands/resolve_options.ts";
import "./lib/commands/render.ts";
import "./lib/database/connection.ts";
import "./lib/database/location.ts";
import "./lib/database/node_sqlite.ts";
import "./lib/database/open.ts";
import "./lib/migration/migration.ts";
import "./lib/migrator.ts";
import "./lib/operations/upgrade.ts";
import "./lib/state/assess.ts";
import "./lib/state/inspect.ts";
import "./lib/state/ledger.ts";
import "./lib/state/marker.ts";
import "./lib/state/status.ts";
import "./lib/state/workspace.ts";
import "./lib/terminal/output.ts";
import "./lib/terminal/text.ts";
import "./migrations/001_create_positions_tables.ts";
import "./migrations/002_create_trading_tables.ts";
import "./migrations/003_create_ml_training_tables.ts";
import "./migrations/mod.ts";

/**
 * Runs the command line and sets the exit code of the process: 0 on success or if there is nothing to
 * do, 1 on failure or findings, 2 on wrong usage. Errors are written to stderr, not thrown. Needs read
 * and write permission on the data directory, and access to the environment variables that `--help` lists.
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
    throw new UsageError(`Cannot use ${name}: its value is not valid UTF-8`, {
      cause: error,
      help: `set ${name} to valid UTF-8, or unset it`,
    });
  }
}

if (import.meta.main) {
  // stdout carries the answer only; a migration may write a line of its own.
  // deno-lint-ignore no-console
  console.log = console.info = console.debug = console.error;
  await run();
  // All output is written; an orderly shutdown of the runtime would only take time.
  Deno.exit();
}

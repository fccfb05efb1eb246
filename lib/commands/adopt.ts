import { UsageError } from "../base/errors.ts";
import { formatCount } from "../base/format.ts";
import { printable } from "../terminal/text.ts";
import { dryRunFlag } from "./flags.ts";
import type { Command, CommandContext } from "./command.ts";
import { migrationsDirectory } from "./resolve_options.ts";
import type { Documents } from "./json_documents.ts";

/** `adopt`: brings an existing database under management. */
export const command: Command = {
  name: "adopt",
  summary: "bring an existing database under management: its schema becomes its first migration",
  operands: "DATABASE",
  flags: { "dry-run": { ...dryRunFlag, help: "print the migration and change nothing" } },
  examples: [
    ["adopt market --dry-run", "show the migration"],
    ["adopt market", "write migrations/004_adopt_market.sql and record it as applied"],
  ],
  run: async (context: CommandContext) => {
    const { flags, operands, migrator, output } = context;
    const [database, ...others] = operands;
    if (database === undefined || others.length > 0) {
      throw new UsageError("Cannot adopt a database: name one", {
        help: `the databases are ${migrator.databases.join(", ")}`,
      });
    }
    const dryRun = flags["dry-run"] === true;
    const adoption = await migrator.adopt(database, {
      migrationsDir: migrationsDirectory(context),
      dryRun,
    });
    output.json({ ok: true, dryRun, ...adoption } satisfies Documents["adopt"]);
    output[dryRun ? "answer" : "report"](
      dryRun
        ? adoption.sql.trimEnd()
        : `wrote ${printable(adoption.path)} with ${
          formatCount(adoption.objects, "object")
        }, and recorded it as applied to ${database}`,
    );
    return 0;
  },
};

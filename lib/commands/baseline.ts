import { UsageError } from "../base/errors.ts";
import { dryRunFlag, stringFlag } from "./flags.ts";
import type { Command, CommandContext } from "./command.ts";
import type { Documents } from "./json_documents.ts";

/** `baseline`: records migrations whose changes are already in the databases. */
export const command: Command = {
  name: "baseline",
  summary: "record migrations whose changes are already in the databases",
  flags: {
    "to": { value: "ID", help: "record up to this one" },
    "dry-run": dryRunFlag,
  },
  examples: [
    ["baseline --to 006 --dry-run", "show what would be recorded"],
    ["baseline --to 006", "record 001 to 006, whose changes another tool has made"],
  ],
  run: async ({ flags, migrator, output }: CommandContext) => {
    const to = stringFlag(flags, "to");
    if (to === undefined) {
      throw new UsageError("Cannot set a baseline: name the last migration with --to ID", {
        help: "`status --verbose` lists the migrations",
      });
    }
    const dryRun = flags["dry-run"] === true;
    const { marked } = await migrator.baseline({ to, dryRun });
    output.json({ ok: true, dryRun, marked } satisfies Documents["baseline"]);
    const verb = dryRun ? "would record" : "recorded";
    output[dryRun ? "answer" : "report"](
      marked.length === 0
        ? "Nothing to record: all of them are applied."
        : `${verb} ${marked.join(", ")} as applied: the databases have their schema.`,
    );
    return 0;
  },
};

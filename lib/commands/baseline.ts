import { UsageError } from "../base/errors.ts";
import { type Command, type CommandContext, dryRunFlag, stringFlag } from "./arguments.ts";
import type { Documents } from "./documents.ts";

/** `baseline`: marks as applied what is in the databases already. */
export const command: Command = {
  name: "baseline",
  summary: "record migrations whose changes are already in the databases",
  flags: {
    "to": { type: "string", value: "ID", help: "record up to this one" },
    "dry-run": dryRunFlag,
  },
  examples: [
    ["baseline --to 006 --dry-run", "show what would be recorded"],
    ["baseline --to 006", "record 001 to 006, whose changes another tool has made"],
  ],
  run: async ({ flags, migrator, output }: CommandContext) => {
    const to = stringFlag(flags, "to");
    if (to === undefined) {
      throw new UsageError("Cannot set a baseline: --to ID has to say up to which migration", {
        help: "`status --verbose` lists the migrations",
      });
    }
    const dryRun = flags["dry-run"] === true;
    const { marked } = await migrator.baseline({ to, dryRun });
    output.json({ ok: true, dryRun, marked } satisfies Documents["baseline"]);
    const verb = dryRun ? "would mark" : "marked";
    output[dryRun ? "answer" : "report"](
      marked.length === 0
        ? "Nothing to mark: all of them are applied."
        : `${verb} ${marked.join(", ")} as applied: the databases have the schema that they make.`,
    );
    return 0;
  },
};

import type { Command, CommandContext } from "./command.ts";
import type { Documents } from "./json_documents.ts";
import { renderVerification } from "./render.ts";

/** `verify`: compares the databases with the schema that their migrations create. */
export const command: Command = {
  name: "verify",
  summary: "check that each database has exactly the schema that its migrations create",
  flags: {
    "data": { help: "also check the data: damage, foreign keys, orders, positions" },
    "hash": { help: "print a hash of each database's schema and rows" },
  },
  examples: [
    ["verify", "compare the schemas"],
    ["verify --hash", "print hashes that tell whether two copies are equal"],
    ["verify --data", "look for damage, and for rows that contradict each other"],
  ],
  run: async (context: CommandContext) => {
    const { flags, migrator, output } = context;
    const [data, hash] = [flags.data === true, flags.hash === true];
    // Without these flags it is fast.
    const progressModule = data || hash ? await import("./progress.ts") : null;
    using progress = progressModule?.followReading(context) ?? null;
    const verification = await migrator.verify({ data, hash, onStep: progress?.step });
    progress?.end();
    output.json(verification satisfies Documents["verify"]);
    // A hash was requested, so it is printed even with `--quiet`.
    const isSilent = verification.ok && flags.hash !== true;
    output[isSilent ? "report" : "answer"](renderVerification(verification, {
      style: output.answerStyle,
      isBrief: flags.quiet === true && !hash,
    }));
    return verification.ok ? 0 : 1;
  },
};

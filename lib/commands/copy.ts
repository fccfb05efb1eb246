import { UsageError } from "../base/errors.ts";
import { printable } from "../terminal/text.ts";
import type { Command, CommandContext } from "./command.ts";
import type { Documents } from "./json_documents.ts";
import { outputFileOptions } from "./resolve_options.ts";
import { followWork } from "./progress.ts";

/** `copy`: copies a database to another place, such as a server. */
export const command: Command = {
  name: "copy",
  summary: "copy a database to a server, from a server, or into a file",
  operands: "FROM TO",
  flags: {},
  withoutMigrations: true,
  examples: [
    [
      "copy trading 'ws://db?namespace=t'",
      "copy to an empty namespace on a server",
    ],
    ["copy 'ws://db?namespace=t' back.db", "copy it back into a file"],
  ],
  run: async (context: CommandContext) => {
    const { operands, migrator, output } = context;
    const [from, to, ...others] = operands;
    if (from === undefined || to === undefined || others.length > 0) {
      throw new UsageError("Cannot copy: name a source and a target", {
        help: "each is the name of a database, a path, or an address such as " +
          "libsql://db.example.com?namespace=positions",
      });
    }
    using work = followWork(context);
    const result = await migrator.copyDatabase(from, to, {
      signal: work.signal,
      onStep: work.step,
      ...outputFileOptions(context),
    });
    work.end();
    output.json({ ok: true, ...result } satisfies Documents["copy"]);
    output.report(
      `copied ${printable(result.from)} to ${
        printable(result.to)
      }\nboth have the hash ${result.hash}`,
    );
    return 0;
  },
};

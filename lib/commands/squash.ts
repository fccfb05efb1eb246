import { ensureDirectory } from "../base/files.ts";
import { UsageError } from "../base/errors.ts";
import { printable } from "../terminal/text.ts";
import { writeNewFile } from "../migration/new_file.ts";
import { stringFlag, withoutSlash } from "./flags.ts";
import type { Command, CommandContext } from "./command.ts";
import type { Documents } from "./json_documents.ts";

/** `squash`: combines many migrations into one file per database. */
export const command: Command = {
  name: "squash",
  summary: "combine many migrations into one file per database",
  flags: {
    "to": { value: "ID", help: "combine up to this migration" },
    "out": { value: "DIR", help: "directory for the new files" },
  },
  examples: [["squash --to 020 --out squashed", "write squashed/020_squash_trading.sql and so on"]],
  run: async ({ flags, migrator, output }: CommandContext) => {
    const to = stringFlag(flags, "to");
    const out = stringFlag(flags, "out");
    if (!to || !out) {
      throw new UsageError("Cannot squash: use --to ID and --out DIR", {
        help: "`status --verbose` lists the migrations; existing files are kept",
      });
    }
    const squashed = await migrator.squash(to);
    const directory = withoutSlash(out);
    const use = { what: "directory of the new files", flag: "--out" };
    ensureDirectory(`${directory}/x`, true, use);
    const files = squashed.map(({ fileName }) => `${directory}/${fileName}`);
    for (const [index, { text }] of squashed.entries()) {
      writeNewFile(files[index] ?? "", text, {
        flag: "--out",
        whenExists: "name another directory with --out",
      });
    }
    const superfluous = squashed.flatMap(({ replacedFiles }) => replacedFiles);
    output.json({ ok: true, files, superfluous } satisfies Documents["squash"]);
    output.report([
      ...files.map((file) => `wrote ${printable(file)}`),
      "Each creates the same schema as the files that it replaces. To use it, move it next to them and",
      "remove them; a database with them adopts the new one at the next `upgrade`:",
      ...superfluous.map((path) => `  ${printable(path)}`),
    ].join("\n"));
    return 0;
  },
};

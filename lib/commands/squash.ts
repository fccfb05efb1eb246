import { ensureDirectory, writeDurably } from "../base/files.ts";
import { AccessError, UsageError } from "../base/errors.ts";
import { printable } from "../base/format.ts";
import { type Command, type CommandContext, stringFlag } from "./arguments.ts";
import type { Documents } from "./documents.ts";

/** `squash`: makes one migration file for each database out of many. */
export const command: Command = {
  name: "squash",
  summary: "combine many migrations into one file per database",
  flags: {
    "to": { type: "string", value: "ID", help: "combine up to this migration" },
    "out": { type: "string", value: "DIR", help: "directory for the new files" },
  },
  examples: [["squash --to 020 --out squashed", "write squashed/020_squash_trading.sql and so on"]],
  run: async ({ flags, migrator, output }: CommandContext) => {
    const to = stringFlag(flags, "to");
    const out = stringFlag(flags, "out");
    if (!to || !out) {
      throw new UsageError("Cannot squash: --to ID and --out DIR say what and where to", {
        help: "`status --verbose` lists the migrations; the files that are there stay as they are",
      });
    }
    const squashed = await migrator.squash(to);
    const directory = out.replace(/(.)[/\\]+$/, "$1");
    const use = { what: "directory of the new files", flag: "--out" };
    ensureDirectory(`${directory}/x`, true, use);
    const files = squashed.map(({ fileName }) => `${directory}/${fileName}`);
    for (const [index, { text }] of squashed.entries()) {
      await writeNew(files[index] ?? "", text);
    }
    const superfluous = squashed.flatMap(({ replacedFiles }) => replacedFiles);
    output.json({ ok: true, files, superfluous } satisfies Documents["squash"]);
    output.report([
      ...files.map((file) => `wrote ${printable(file)}`),
      "Each makes the same schema as the files that it stands for. To use it, move it to them and",
      "remove these; a database that has them takes the new one over at the next `upgrade`:",
      ...superfluous.map((path) => `  ${printable(path)}`),
    ].join("\n"));
    return 0;
  },
};

async function writeNew(path: string, text: string): Promise<void> {
  try {
    using _file = Deno.openSync(path, { write: true, createNew: true });
    await writeDurably(path, text);
  } catch (error) {
    const reason = error instanceof Deno.errors.AlreadyExists
      ? "it is there already"
      : error instanceof Error
      ? error.message
      : String(error);
    throw new AccessError(`Cannot write ${path}: ${reason}`, {
      cause: error,
      help: "name another directory with --out",
    });
  }
}

import type { Finding } from "../schema/model.ts";
import { printable } from "../base/format.ts";
import type { Style } from "../terminal/output.ts";
import type { DatabaseVerification, Verification } from "../operations/verify.ts";
import type { Command, CommandContext } from "./arguments.ts";
import type { Documents } from "./documents.ts";

/** `verify`: compares the databases with what their migrations make. */
export const command: Command = {
  name: "verify",
  summary: "check that each database has exactly the schema that its migrations create",
  flags: {
    "data": {
      type: "boolean",
      help: "also check the data: damage, foreign keys, orders, positions",
    },
    "hash": { type: "boolean", help: "print a hash of each database's schema and rows" },
  },
  examples: [
    ["verify", "compare the schemas"],
    ["verify --hash", "print hashes that tell whether two copies are equal"],
    ["verify --data", "look for damage, and for rows that contradict each other"],
  ],
  run: async (context: CommandContext) => {
    const { flags, migrator, output } = context;
    const [data, hash] = [flags.data === true, flags.hash === true];
    // Without these flags it takes no time.
    const progressModule = data || hash ? await import("./progress.ts") : null;
    using progress = progressModule?.progressOf(context) ?? null;
    const verification = await migrator.verify({ data, hash, onStep: progress?.step });
    progress?.end();
    output.json(verification satisfies Documents["verify"]);
    // A hash is what was asked for.
    const isSilent = verification.ok && flags.hash !== true;
    output[isSilent ? "report" : "answer"](renderVerification(verification, output.answerStyle));
    return verification.ok ? 0 : 1;
  },
};

/** The findings in words. */
export function renderVerification({ ok, databases }: Verification, style: Style): string {
  return [
    ...databases.map((database) => renderDatabase(database, style)),
    ok ? "All databases are as they should be." : "There are problems.",
  ].join("\n");
}

function renderDatabase(
  { name, path, ok, problems, notices, hash }: DatabaseVerification,
  style: Style,
): string {
  return [
    `${name} (${printable(path)}): ${ok ? style.green("ok") : style.red("not ok")}`,
    ...hash === null ? [] : [`  sha256 ${hash}`],
    ...problems.map((problem) => renderFinding("problem", problem)),
    ...notices.map((notice) => renderFinding("notice", notice)),
  ].join("\n");
}

/** One finding and what to do about it. */
export function renderFinding(label: string, { detail, fix }: Finding): string {
  return `  ${label}: ${printable(detail)}\n    fix: ${printable(fix)}`;
}

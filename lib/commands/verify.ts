import type { Finding } from "../schema/model.ts";
import { printable } from "../base/format.ts";
import type { Style } from "../terminal/output.ts";
import type { DatabaseVerification, Verification } from "../operations/verify.ts";
import type { Command, CommandContext } from "./arguments.ts";
import type { Documents } from "./documents.ts";

/** `verify`: compares the databases with the schema that their migrations create. */
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
    // Without these flags it is fast.
    const progressModule = data || hash ? await import("./progress.ts") : null;
    using progress = progressModule?.interruptibleProgressOf(context) ?? null;
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

/** How to show findings. */
export interface VerificationOptions {
  readonly style: Style;
  /** Whether to leave out notices, and databases without problems. Default `false`. */
  readonly isBrief?: boolean;
}

/** The findings as text. */
export function renderVerification(
  { ok, databases }: Verification,
  { style, isBrief = false }: VerificationOptions,
): string {
  const shown = isBrief
    ? databases.filter((one) => !one.ok).map((one) => ({ ...one, notices: [] }))
    : databases;
  return [
    ...shown.map((database) => renderDatabase(database, style)),
    ok ? "No problems found." : "Problems were found.",
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

/** A finding, and what to do about it. */
export function renderFinding(label: string, { detail, fix }: Finding): string {
  return `  ${label}: ${printable(detail)}\n    fix: ${printable(fix)}`;
}

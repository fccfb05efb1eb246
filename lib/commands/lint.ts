import type { LintFinding } from "../trial/finding.ts";
import type { LintResult } from "../trial/lint.ts";
import { printable, type Style } from "../terminal/text.ts";
import { formatCount } from "../base/format.ts";
import { numberFlag } from "./flags.ts";
import type { Command, CommandContext } from "./command.ts";
import type { Documents } from "./json_documents.ts";

/** `lint`: looks for dangers in migrations before they are applied. */
export const command: Command = {
  name: "lint",
  summary: "look for data loss and other dangers in pending migrations",
  operands: "[FILE|ID...]",
  flags: {
    "strict": { help: "exit with 1 on warnings too" },
    "large-table": {
      value: "ROWS",
      help: "number of rows that makes a table large (default: 1000000)",
    },
  },
  examples: [
    ["lint", "check all pending migrations"],
    ["lint migrations/004_add_notes.sql", "check one, applied or not"],
    ["lint --strict --json", "check in CI"],
  ],
  run: async ({ flags, operands, migrator, output }: CommandContext) => {
    const largeTable = numberFlag(flags, "large-table", 1);
    const result = await migrator.lint({
      ...(operands.length === 0 ? {} : { migrations: operands }),
      ...(largeTable === undefined ? {} : { largeTable }),
    });
    const { findings } = result;
    const fails = !result.ok || (flags.strict === true && findings.length > 0);
    output.json({ ...result, ok: !fails } satisfies Documents["lint"]);
    output[findings.length === 0 ? "report" : "answer"](renderLint(result, output.answerStyle));
    return fails ? 1 : 0;
  },
};

/** The findings in words, by migration. */
function renderLint({ findings, checked, untried }: LintResult, style: Style): string {
  if (checked.length === 0) return "Nothing to check: none of your migrations is pending.";
  const lines = checked.flatMap((name) => {
    const own = findings.filter(({ migration }) => migration === name);
    if (own.length === 0) return [`${name}: ${style.green("ok")}`];
    return [`${name}:`, ...own.map((finding) => renderFinding(finding, style))];
  });
  const errors = findings.filter(({ severity }) => severity === "error").length;
  const warnings = findings.length - errors;
  const counts = findings.length === 0
    ? "no findings"
    : `${formatCount(errors, "error")} and ${formatCount(warnings, "warning")}`;
  const notices = untried.map(({ database, reason }) => {
    const command = reason === "it is on a server" ? "rehearse --data" : "rehearse";
    return `${database}: not tried with its rows, because ${printable(reason)}; ` +
      `\`${command}\` tries them`;
  });
  const end = `${formatCount(checked.length, "migration")} checked: ${counts}.`;
  return [...lines, ...notices, end].join("\n");
}

function renderFinding(finding: LintFinding, style: Style): string {
  const { severity, code, file, line, reason, fix } = finding;
  const place = [file, line === null ? null : file === null ? `line ${line}` : line]
    .filter((part) => part !== null).join(":");
  const label = severity === "error" ? style.red(severity) : style.yellow(severity);
  return [
    `  ${label} ${code}${place === "" ? "" : ` at ${printable(place)}`}: ${printable(reason)}`,
    `    fix: ${printable(fix)}`,
  ].join("\n");
}

import type { RepairResult } from "../operations/repair.ts";
import { printable } from "../terminal/text.ts";
import { dryRunFlag, noBackupFlag, refuseTogether, stringFlag } from "./flags.ts";
import type { Command, CommandContext } from "./command.ts";
import { copyNotice, renderFinding, renderReconciliation, renderSnapshots } from "./render.ts";
import type { Documents } from "./json_documents.ts";

/** `repair`: repairs what it can without losing a row. */
export const command: Command = {
  name: "repair",
  summary: "correct the ledger, and recreate missing tables, indexes and views",
  flags: {
    "accept-changed": {
      value: "ID",
      help: "accept the changed text of an applied migration; runs nothing",
    },
    "dry-run": dryRunFlag,
    "no-backup": noBackupFlag,
  },
  examples: [
    ["repair --dry-run", "show what would be repaired"],
    ["repair", "repair what is safe; no row is changed"],
    ["repair --accept-changed 004", "accept a file that was edited after it was applied"],
  ],
  run: async ({ flags, migrator, output }: CommandContext) => {
    const dryRun = flags["dry-run"] === true;
    const changed = stringFlag(flags, "accept-changed");
    if (changed !== undefined) {
      refuseTogether("repair", flags, ["accept-changed", "dry-run"]);
      const accepted = await migrator.acceptChanged(changed);
      output.json({ ok: true, accepted } satisfies Documents["repair"]);
      output.report(
        printable(
          `accepted ${accepted.name} in its current form; ${accepted.database} was not changed`,
        ),
      );
      return 0;
    }
    const result = await migrator.repair({
      dryRun,
      backup: !flags["no-backup"],
      onSnapshot: copyNotice(output),
    });
    const ok = result.remaining.length === 0;
    output.json({ ok, dryRun, ...result } satisfies Documents["repair"]);
    output[ok && !dryRun ? "report" : "answer"](renderRepair(result, dryRun));
    return ok ? 0 : 1;
  },
};

/** What was repaired and what remains, as text. */
function renderRepair(result: RepairResult, dryRun: boolean): string {
  const { recreated, replaced, remaining } = result;
  const verb = dryRun ? "would create" : "created";
  const lines = [
    ...renderSnapshots(result),
    ...renderReconciliation(result),
    ...recreated.map(({ type, name, database }) =>
      `${verb} ${type} ${printable(name)} in ${database}`
    ),
    ...replaced.map(({ name, database }) =>
      `${dryRun ? "would replace" : "replaced"} view ${printable(name)} in ${database}`
    ),
  ];
  if (lines.length === 0 && remaining.length === 0) return "Nothing to repair.";
  if (remaining.length > 0) {
    lines.push(
      "This can't be repaired without risk to your rows:",
      ...remaining.map((finding) => renderFinding(finding.database, finding)),
    );
  }
  if (dryRun) lines.push("Nothing was changed.");
  return lines.join("\n");
}

import { formatCount } from "../base/format.ts";
import { printable } from "../terminal/text.ts";
import type { DowngradeResult } from "../operations/downgrade.ts";
import { describeLosses } from "../operations/rollback_losses.ts";
import {
  dryRunFlag,
  noBackupFlag,
  numberFlag,
  refuseTogether,
  stringFlags,
  yesFlag,
} from "./flags.ts";
import type { Command, CommandContext, FlagValues } from "./command.ts";
import type { DowngradeRequest } from "../state/plan.ts";
import {
  confirmLosses,
  followMigrations,
  renderReconciliation,
  renderRollback,
  renderSnapshots,
  reportStopped,
} from "./render.ts";
import type { Documents, DowngradeFailure } from "./json_documents.ts";

/** `downgrade`: rolls migrations back. */
export const command: Command = {
  name: "downgrade",
  summary: "roll applied migrations back, newest first",
  flags: {
    "migration": { value: "ID", help: "roll back only this one" },
    "to": { value: "ID", help: "roll back everything after this one, and keep this one" },
    "steps": { value: "N", help: "roll back the newest N" },
    "dry-run": dryRunFlag,
    "no-backup": noBackupFlag,
    "yes": yesFlag,
  },
  examples: [
    ["downgrade --steps 1", "roll back the newest migration; it asks before rows are lost"],
    ["downgrade --to 003 --dry-run", "show what going back to 003 would lose"],
    ["downgrade --migration 004", "roll back one migration"],
  ],
  run: async (context: CommandContext) => {
    const { flags, migrator, output } = context;
    const request = requestOf(flags);
    if (flags["dry-run"]) {
      const plan = await migrator.planDowngrade(request);
      const rollBack = plan.rollBack.map(({ id }) => id);
      output.json(
        {
          ok: true,
          dryRun: true,
          rollBack,
          lost: plan.losses.filter(({ rows }) => rows > 0),
        } satisfies Documents["downgrade"],
      );
      output.answer(renderRollback(plan));
      return 0;
    }
    using following = followMigrations(context);
    try {
      const result = await migrator.downgrade({
        ...request,
        backup: !flags["no-backup"],
        confirm: confirmLosses(context),
        ...following.options,
      });
      following.end();
      const { adopted: _adopted, reconciled: _reconciled, ...shown } = result;
      output.json({ ok: true, ...shown, failed: null } satisfies Documents["downgrade"]);
      output.report(renderDowngrade(result, request));
      return 0;
    } catch (error) {
      following.end();
      return await reportStopped<DowngradeFailure>(error, {
        output,
        before: "Rolled back before the failure",
        document: ({ done, lost = [] }) => ({ rolledBack: done, lost }),
      });
    }
  },
};

function requestOf(flags: FlagValues): DowngradeRequest {
  refuseTogether("downgrade", flags, ["migration", "to", "steps"]);
  const steps = numberFlag(flags, "steps", 1);
  return {
    ...stringFlags(flags, "migration", "to"),
    ...(steps === undefined ? {} : { steps }),
  };
}

function renderDowngrade(result: DowngradeResult, { to }: DowngradeRequest): string {
  const { rolledBack, lost } = result;
  return [
    ...renderReconciliation(result),
    ...renderSnapshots(result),
    rolledBack.length === 0
      ? `Nothing to roll back: no migration${
        to === undefined ? "" : ` after ${printable(to)}`
      } is applied.`
      : `${formatCount(rolledBack.length, "migration")} rolled back: ${
        printable(rolledBack.join(", "))
      }.`,
    ...lost.length === 0 ? [] : [
      `${formatCount(lost.reduce((sum, { rows }) => sum + rows, 0), "row")} lost: ${
        printable(describeLosses(lost))
      }.`,
    ],
  ].join("\n");
}

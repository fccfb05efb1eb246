import { UsageError } from "../base/errors.ts";
import { formatDuration } from "../base/format.ts";
import { renderTable } from "../terminal/text.ts";
import { dryRunFlag, noBackupFlag, yesFlag } from "./flags.ts";
import type { Command, CommandContext } from "./command.ts";
import { confirmLosses, followMigrations, renderRollback, renderSnapshots } from "./render.ts";
import type { Documents } from "./json_documents.ts";

/** `redo`: rolls a migration back and applies it again. */
export const command: Command = {
  name: "redo",
  summary: "roll a migration back and apply it again, by default the last one",
  operands: "[ID]",
  flags: { "dry-run": dryRunFlag, "no-backup": noBackupFlag, "yes": yesFlag },
  examples: [
    ["redo", "run the last migration again after editing it"],
    ["redo 004 --dry-run", "show what would be lost"],
  ],
  run: async (context: CommandContext) => {
    const { flags, operands, migrator, output } = context;
    const [migration, ...others] = operands;
    if (others.length > 0) {
      throw new UsageError("Cannot redo several migrations: name one", {
        help: "use `downgrade --to ID` and `upgrade` for several",
      });
    }
    const request = migration === undefined ? {} : { migration };
    if (flags["dry-run"]) {
      const plan = await migrator.planRedo(request);
      const redo = plan.rollBack.map(({ id }) => id);
      output.json(
        {
          ok: true,
          dryRun: true,
          redo,
          lost: plan.losses.filter(({ rows }) => rows > 0),
        } satisfies Documents["redo"],
      );
      output.answer(renderRollback(plan));
      return 0;
    }
    using following = followMigrations(context);
    const result = await migrator.redo({
      ...request,
      backup: !flags["no-backup"],
      confirm: confirmLosses(context),
      ...following.options,
    });
    following.end();
    output.json({ ok: true, ...result } satisfies Documents["redo"]);
    output.report([
      ...renderSnapshots(result),
      renderTable(result.applied.map(({ name, database, durationSeconds }) => [
        "redone",
        name,
        database,
        formatDuration(durationSeconds),
      ])),
    ].join("\n"));
    return 0;
  },
};

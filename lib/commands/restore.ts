import { SnapshotError, UsageError } from "../base/errors.ts";
import type { RestorePlan } from "../snapshot/restore.ts";
import type { RestoreResult } from "../snapshot/journal.ts";
import { newestSafety } from "../snapshot/store.ts";
import { wayBack } from "../state/status.ts";
import { printable } from "../terminal/text.ts";
import { dryRunFlag, fromFlag, refuseTogether, yesFlag } from "./flags.ts";
import type { Command, CommandContext } from "./command.ts";
import { confirmPlan, renderMovedAside, renderReconciliation, renderRowChanges } from "./render.ts";
import type { Documents } from "./json_documents.ts";
import { followReading } from "./progress.ts";

/** `restore`: goes back to a snapshot. */
export const command: Command = {
  name: "restore",
  summary: "go back to a snapshot; the current data is kept in another one",
  operands: "[SNAPSHOT|FILE] [DATABASE...]",
  flags: {
    "from": {
      value: "DIR",
      help: "read a copy of the snapshots, for example on a NAS; default snapshot: the newest",
    },
    "undo": { help: "undo the last restore" },
    "dry-run": dryRunFlag,
    "yes": yesFlag,
  },
  examples: [
    ["restore latest", "go back to the newest snapshot"],
    ["restore 20250120_123000 trading", "restore only one database"],
    ["restore --from nas", "restore the newest snapshot from a copy of the directory"],
    ["restore old/positions.db positions", "restore a file that was copied by hand"],
    ["restore --undo", "undo the last restore"],
  ],
  run: async (context: CommandContext) => {
    const { flags, operands, migrator, output } = context;
    using progress = followReading(context);
    refuseTogether("restore", flags, ["from", "undo"]);
    const from = fromFlag(flags);
    const first = operands[0];
    const isLatest = from !== null && (first === undefined || migrator.databases.includes(first));
    const [reference, ...databases] = isLatest ? ["latest", ...operands] : operands;
    const source = from ?? {};
    if ((reference === undefined) === (flags.undo !== true)) {
      throw new UsageError("Cannot restore a snapshot: name a snapshot, or use --undo", {
        help: "`backup list` shows the snapshots; `latest` is the newest",
      });
    }
    if (flags["dry-run"]) {
      const plan = await migrator.planRestore(reference ?? await nameToUndo(migrator), {
        ...source,
        databases,
        onStep: progress.step,
      });
      progress.end();
      output.json({ ok: true, dryRun: true, ...plan } satisfies Documents["restore"]);
      output.answer(`${renderPlan(plan)}\nNothing was changed.`);
      return 0;
    }
    const options = {
      ...source,
      databases,
      confirm: (plan: RestorePlan) => {
        progress.end();
        const question = `Restore ${plan.snapshot}?`;
        return confirmPlan(context, { plan: renderPlan(plan), question });
      },
      onStep: progress.step,
    };
    const result = reference === undefined
      ? await migrator.undoRestore(options)
      : await migrator.restoreSnapshot(reference, options);
    progress.end();
    output.json({ ok: true, ...result } satisfies Documents["restore"]);
    output.report(renderRestore(result));
    for (const one of result.lacking ?? []) {
      output.warn(
        `${result.snapshot} lacks ${one.database}: ${migrator.pathOf(one.database)} ` +
          `${one.isDamaged ? "still can't be read" : "is still missing or empty"}; ${wayBack(one)}`,
      );
    }
    return 0;
  },
};

/** Name of the snapshot that `--undo` restores. */
async function nameToUndo(migrator: CommandContext["migrator"]): Promise<string> {
  const safety = newestSafety(await migrator.listSnapshots());
  if (safety !== undefined) return safety.name;
  throw new SnapshotError("Cannot undo a restore: there is no snapshot from before a restore", {
    help: "`backup list` shows the snapshots",
  });
}

function renderPlan({ snapshot, changes, lacking = [] }: RestorePlan): string {
  return [
    `Restoring ${printable(snapshot)} will change:`,
    ...changes.flatMap((change) => [
      printable(
        `  ${change.database}: ${change.isDamaged ? "the file is damaged; " : ""}migrations ${
          change.isDamaged ? "unknown" : change.now?.migrations.join(" ") || "none"
        } -> ${change.then.migrations.join(" ") || "none"}`,
      ),
      renderRowChanges(change, { indent: 4 }),
    ]),
    ...lacking.map((one) =>
      printable(
        `  ${one.database}: not in this snapshot, and its file ${
          one.isDamaged ? "can't be read" : "is missing or empty"
        }; ${wayBack(one)}`,
      )
    ),
  ].join("\n");
}

function renderRestore(result: RestoreResult): string {
  const { restored, snapshot, safety, laterSnapshots = [], movedAside = [] } = result;
  const kept = restored.filter((name) => !movedAside.some(({ database }) => database === name));
  const what = movedAside.length === 0
    ? "The previous data"
    : `The previous data of ${kept.join(", ")}`;
  return [
    `Restored ${restored.join(", ")} from ${printable(snapshot)}.`,
    ...safety === null || kept.length === 0
      ? []
      : [`${what} is in snapshot ${safety}; \`restore --undo\` goes back.`],
    ...renderMovedAside(result),
    ...laterSnapshots.length === 0 ? [] : [
      `Another program wrote to them meanwhile; its rows are in snapshot ${
        laterSnapshots.join(", ")
      }.`,
    ],
    ...renderReconciliation(result),
    "If the bot is running, restart it: its memory is newer than its databases.",
  ].join("\n");
}

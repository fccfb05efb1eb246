import { reportOf } from "../terminal/output.ts";
import { CatalystError, exitCodeOf } from "../base/errors.ts";
import type { UpgradeResult } from "../operations/apply_pending.ts";
import {
  type Command,
  type CommandContext,
  dryRunFlag,
  noBackupFlag,
  refuseTogether,
  stringFlags,
} from "./arguments.ts";
import { type LostDatabase, wayBack } from "../state/status.ts";
import { followMigrations, renderUpgrade } from "./render.ts";
import type { Applied, Documents, UpgradeFailure } from "./documents.ts";

/** `upgrade`: applies pending migrations. */
export const command: Command = {
  name: "upgrade",
  summary: "apply all pending migrations (the default command)",
  flags: {
    "migration": { type: "string", value: "ID", help: "apply only this one" },
    "to": { type: "string", value: "ID", help: "apply up to this one" },
    "out-of-order": {
      type: "boolean",
      help: "apply a migration that sorts before an applied one",
    },
    "dry-run": dryRunFlag,
    "no-backup": noBackupFlag,
  },
  examples: [
    ["upgrade", "create or update the databases in data/"],
    ["upgrade --dry-run", "show the SQL that would run, and its effects"],
    ["upgrade --to 002 --data-dir ~/bot/data", "stop after migration 002"],
  ],
  run: async (context: CommandContext) => {
    const { flags, migrator, output } = context;
    refuseTogether("upgrade", flags, ["migration", "to"]);
    const request = {
      ...stringFlags(flags, "migration", "to"),
      outOfOrder: flags["out-of-order"] === true,
    };
    if (flags["dry-run"]) {
      const plan = await migrator.planUpgrade({ ...request, effects: true });
      const { planAsJson, renderPlan } = await import("./render.ts");
      output.json(planAsJson(plan));
      output.answer(renderPlan(plan));
      return 0;
    }
    using following = followMigrations(context);
    const applied: Applied[] = [];
    const lost: LostDatabase[] = [];
    try {
      const result = await migrator.upgrade({
        ...request,
        backup: !flags["no-backup"],
        ...following.options,
        onUnreadable: (reason) => output.warn(`${reason}; \`doctor\` says what to do`),
        onLost: (one) => {
          lost.push(one);
          output.warn(
            `${
              migrator.pathOf(one.database)
            } was missing or empty, although it had content before; ` +
              `it was created without rows; ${wayBack(one)}`,
          );
        },
        onProgress: (progress) => {
          following.options.onProgress(progress);
          const { kind, id, database, durationSeconds } = progress;
          if (kind === "finished") {
            applied.push({ id, database, durationSeconds: durationSeconds ?? 0 });
          }
        },
      });
      following.end();
      output.json(
        { ok: true, ...asJson(result), lost, failed: null } satisfies Documents["upgrade"],
      );
      output.report(
        await renderUpgrade(result, {
          known: migrator.ids.length,
          paths: migrator.databases.map((name) => migrator.pathOf(name)),
        }),
      );
      return 0;
    } catch (error) {
      following.end();
      if (!(error instanceof CatalystError) || error.progress === undefined) throw error;
      const { done, adopted, reconciled, failed } = error.progress;
      if (done.length > 0) {
        output.narrate(`Applied before the failure, and still applied: ${done.join(", ")}`);
      }
      output.error(
        error,
        {
          applied,
          adopted,
          reconciled,
          lost,
          failed: failed === null ? null : { id: failed, error: reportOf(error) },
        } satisfies Omit<UpgradeFailure, "ok" | "error">,
      );
      return exitCodeOf(error);
    }
  },
};

function asJson(
  { applied, ...others }: UpgradeResult,
): Omit<UpgradeResult, "applied"> & { readonly applied: readonly Applied[] } {
  return {
    applied: applied.map(({ id, database, durationSeconds, destroyed }) => ({
      id,
      database,
      durationSeconds,
      ...(destroyed === undefined ? {} : { destroyed }),
    })),
    ...others,
  };
}

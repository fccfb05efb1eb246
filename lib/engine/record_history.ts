import { epochSeconds, messageOf } from "../base/format.ts";
import { addEvent, setHistory } from "../state/ledger.ts";
import { locationOf, type Workspace } from "../state/workspace.ts";
import { type Run, runMigration } from "./apply.ts";
import { afterCommit, type Session } from "./session.ts";

/** Runs one migration and records its start and outcome in the ledger. */
export async function runAndRecord(
  workspace: Workspace,
  session: Session,
  run: Run,
): Promise<number | null> {
  const { migration, direction } = run;
  const { id, name, database } = migration;
  const { path: databasePath } = locationOf(workspace, database);
  const { checksum } = run;
  const startedAt = epochSeconds();
  const event = { id, name, database, databasePath, direction, checksum, startedAt };
  await addEvent(await session.ledger(), {
    ...event,
    outcome: "started",
    endedAt: null,
    detail: detailOf(run),
  });
  const finish = (
    status: "applied" | "rolled_back" | "failed",
    durationSeconds: number | null,
    error: string | null,
  ) =>
    session.record(async (ledger) => {
      const end = { durationSeconds, error };
      await addEvent(ledger, { ...event, ...end, outcome: status, detail: detailOf(run) });
      const appliedAt = epochSeconds();
      await setHistory(ledger, { id, name, databasePath, appliedAt, status, ...end });
    });
  let seconds: number | null;
  try {
    const connection = await session.database(database);
    seconds = await runMigration(connection, {
      ...run,
      idleTimeout: workspace.idleTimeout,
      renew: async () => {
        await session.database(database);
      },
    });
  } catch (error) {
    // Report the failure itself, even if the ledger cannot be written either (a full disk).
    await finish("failed", null, messageOf(error)).catch(() => {});
    throw error;
  }
  const isUpgrade = direction === "upgrade";
  await afterCommit({
    done: `${isUpgrade ? "Applied" : "Rolled back"} ${name}`,
    help:
      "the database is complete; the next command that changes the databases corrects the ledger",
  }, () => finish(isUpgrade ? "applied" : "rolled_back", seconds, null));
  return seconds;
}

function detailOf({ snapshot }: Run): string | null {
  return snapshot === null ? null : `snapshot ${snapshot} was taken before`;
}

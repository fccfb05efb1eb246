import { epochSeconds } from "./base/format.ts";
import { type Run, runMigration } from "./engine/apply.ts";
import type { NewEvent } from "./state/ledger.ts";
import { addEvent, setHistory } from "./state/ledger.ts";
import type { Session } from "./engine/session.ts";
import { locationOf, type Workspace } from "./state/workspace.ts";

/** Told before and after each migration. */
export interface MigrationProgress {
  /** Whether it begins or has ended. */
  readonly kind: "started" | "finished";
  /** Whether it goes up or down. */
  readonly direction: "upgrade" | "downgrade";
  /** Id of the migration, such as `001`. */
  readonly id: string;
  /** Its name. */
  readonly name: string;
  /** Name of its database. */
  readonly database: string;
  /** Seconds; null before the end. */
  readonly durationSeconds: number | null;
}

/** Runs one migration and records the attempt in the ledger: its start, its end and its outcome. */
export async function attempt(
  workspace: Workspace,
  session: Session,
  run: Run,
): Promise<number | null> {
  const { migration, direction } = run;
  const started = epochSeconds();
  const { path } = locationOf(workspace, migration.database);
  const event: NewEvent = {
    id: migration.id,
    name: migration.name,
    database: migration.database,
    databasePath: path,
    direction,
    outcome: "started",
    startedAt: started,
    endedAt: null,
    durationSeconds: null,
    error: null,
    checksum: run.checksum,
    detail: detailOf(run),
  };
  await addEvent(await session.ledger(), event);
  const finish = async (
    outcome: "applied" | "rolled_back" | "failed",
    seconds: number | null,
    error: string | null,
  ) => {
    await session.record(async (ledger) => {
      await addEvent(ledger, {
        ...event,
        outcome,
        endedAt: epochSeconds(),
        durationSeconds: seconds,
        error,
        detail: detailOf(run),
      });
      // A rollback that failed leaves the migration applied, and so its row.
      if (outcome === "failed" && direction === "downgrade") return;
      await setHistory(ledger, {
        id: migration.id,
        name: migration.name,
        databasePath: path,
        appliedAt: epochSeconds(),
        durationSeconds: seconds,
        status: outcome,
        error,
      });
    });
  };
  let seconds: number | null;
  try {
    const connection = await session.database(migration.database);
    seconds = await runMigration(connection, { ...run, idleTimeout: workspace.idleTimeout });
  } catch (error) {
    // The failure itself must be heard, even where the ledger can't be written either (a full disk).
    await finish("failed", null, error instanceof Error ? error.message : String(error)).catch(
      () => {},
    );
    throw error;
  }
  await finish(direction === "upgrade" ? "applied" : "rolled_back", seconds, null);
  return seconds;
}

function detailOf({ snapshot }: Run): string | null {
  return snapshot === null ? null : `snapshot ${snapshot} was taken before`;
}

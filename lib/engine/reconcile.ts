import { epochSeconds } from "../base/format.ts";
import { checksumOf, type Migration } from "../migration/migration.ts";
import { withTransaction } from "../database/transaction.ts";
import type { Inspection } from "../state/inspect.ts";
import {
  addEvent,
  type HistoryRow,
  type NewEvent,
  removeHistory,
  setHistory,
} from "../state/ledger.ts";
import {
  createMarkerTable,
  deleteMarker,
  hasMarker,
  rewriteMarker,
  writeMarker,
} from "../state/marker.ts";
import type { Session } from "./session.ts";
import { type Correction, corrections, summarize } from "../state/assess.ts";
import { locationOf, type Workspace } from "../state/workspace.ts";

/** What reconciling changed. */
export interface Reconciliation {
  /** Ids of the migrations that were found in a database without a marker and received one. */
  readonly adopted: readonly string[];
  /** Ids of the migrations whose ledger rows were corrected from the markers. */
  readonly reconciled: readonly string[];
}

/** Corrects the ledger to match the databases, and writes missing markers. */
export async function reconcile(
  workspace: Workspace,
  session: Session,
  found: Inspection,
): Promise<Reconciliation> {
  const wrong = corrections(workspace.registry, found);
  for (const correction of wrong) {
    if (correction.kind === "adopt") await adopt(workspace, session, correction);
    else if (correction.kind === "replace") await replace(workspace, session, correction);
    else await correctLedger(workspace, session, correction);
  }
  return summarize(wrong);
}

/** Writes the missing marker of an existing migration, and records it. */
export async function adopt(
  workspace: Workspace,
  session: Session,
  { migration, row }: Correction & { kind: "adopt" },
): Promise<void> {
  const recorded = row?.status === "applied" ? row : undefined;
  const appliedAt = recorded?.appliedAt ?? epochSeconds();
  const connection = await session.database(migration.database);
  await withTransaction(connection, async () => {
    const marked = await hasMarker(connection, migration.id);
    if (marked) return;
    if (marked === null) await createMarkerTable(connection);
    await writeMarker(connection, migration, {
      appliedAt,
      durationSeconds: null,
      checksum: await checksumOf(migration.upgrade),
    });
  }, { timeout: workspace.timeout });
  await record(workspace, session, {
    migration,
    event: {
      direction: "adopt",
      detail: recorded === undefined ? "found by its tables" : "recorded by the ledger",
    },
    row: recorded?.name === migration.name
      ? undefined
      : { appliedAt, durationSeconds: recorded?.durationSeconds ?? null },
  });
}

/** Replaces the markers of replaced migrations with that of their replacement, and records it. */
async function replace(
  workspace: Workspace,
  session: Session,
  { migration, marker }: Correction & { kind: "replace" },
): Promise<void> {
  const replaced = (migration.replaces ?? []).filter((id) => id !== migration.id);
  const connection = await session.database(migration.database);
  const checksum = await checksumOf(migration.upgrade);
  await withTransaction(connection, async () => {
    // Rewrite the last marker in place, so that later migrations stay after it.
    await rewriteMarker(connection, migration, checksum);
    for (const id of replaced) await deleteMarker(connection, id);
  }, { timeout: workspace.timeout });
  await record(workspace, session, {
    migration,
    event: { direction: "adopt", detail: `replaces ${migration.replaces?.join(", ")}` },
    removed: replaced,
    row: { appliedAt: marker.appliedAt, durationSeconds: marker.durationSeconds },
  });
}

async function correctLedger(
  workspace: Workspace,
  session: Session,
  correction: Exclude<Correction, { kind: "adopt" | "replace" }>,
): Promise<void> {
  const { migration } = correction;
  const direction = "reconcile";
  if (correction.kind === "record") {
    // The marker's name rather than the registry's, because the migration may have been renamed.
    const { name, appliedAt, durationSeconds } = correction.marker;
    const detail = "it is in the database, but was not in the ledger";
    return await record(workspace, session, {
      migration,
      event: { direction, detail },
      row: { name, appliedAt, durationSeconds },
    });
  }
  const former = `; former row: ${JSON.stringify(correction.row)}`;
  if (correction.kind === "forget") {
    const detail = "it is not in the database, but was applied according to the ledger";
    return await record(workspace, session, {
      migration,
      event: { direction, outcome: "pending", detail: detail + former },
      removed: [migration.id],
    });
  }
  const detail = "it was rolled back, but this was not recorded in the ledger";
  await record(workspace, session, {
    migration,
    event: { direction, outcome: "rolled_back", detail: detail + former },
    row: { ...correction.row, status: "rolled_back" },
  });
}

/** A change of the ledger. */
interface Entry {
  readonly migration: Migration;
  readonly event: Pick<NewEvent, "direction" | "outcome" | "detail">;
  /** Ids of migrations whose rows to remove. Default: none. */
  readonly removed?: readonly string[];
  /** The migration's new row. Default: as it is. */
  readonly row?:
    | Pick<HistoryRow, "appliedAt" | "durationSeconds"> & Partial<HistoryRow>
    | undefined;
}

async function record(
  workspace: Workspace,
  session: Session,
  { migration, event, removed = [], row }: Entry,
): Promise<void> {
  const { id, name, database } = migration;
  const databasePath = locationOf(workspace, database).path;
  const checksum = await checksumOf(migration.upgrade);
  await session.record(async (ledger) => {
    await addEvent(ledger, { id, name, database, databasePath, checksum, ...event });
    for (const one of removed) await removeHistory(ledger, one);
    if (row !== undefined) {
      await setHistory(ledger, { id, name, status: "applied", error: null, ...row, databasePath });
    }
  });
}

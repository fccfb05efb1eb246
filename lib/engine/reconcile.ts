import { epochSeconds } from "../base/format.ts";
import { checksumOf } from "../migration/migration.ts";
import { withTransaction } from "../database/transaction.ts";
import type { Inspection } from "../state/inspect.ts";
import { addEvent, type NewEvent, removeHistory, setHistory } from "../state/ledger.ts";
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
  const event = await eventOf(workspace, migration, {
    direction: "adopt",
    outcome: "applied",
    detail: recorded === undefined ? "found by its tables" : "recorded by the ledger",
  });
  await session.record(async (ledger) => {
    await addEvent(ledger, event);
    if (recorded?.name === migration.name) return;
    await setHistory(ledger, {
      id: migration.id,
      name: migration.name,
      databasePath: locationOf(workspace, migration.database).path,
      appliedAt,
      durationSeconds: recorded?.durationSeconds ?? null,
      status: "applied",
      error: null,
    });
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
  const event = await eventOf(workspace, migration, {
    direction: "adopt",
    outcome: "applied",
    detail: `replaces ${migration.replaces?.join(", ")}`,
  });
  await session.record(async (ledger) => {
    await addEvent(ledger, event);
    for (const id of replaced) await removeHistory(ledger, id);
    await setHistory(ledger, {
      id: migration.id,
      name: migration.name,
      databasePath: locationOf(workspace, migration.database).path,
      appliedAt: marker.appliedAt,
      durationSeconds: marker.durationSeconds,
      status: "applied",
      error: null,
    });
  });
}

async function correctLedger(
  workspace: Workspace,
  session: Session,
  correction: Exclude<Correction, { kind: "adopt" | "replace" }>,
): Promise<void> {
  const { migration, kind } = correction;
  const outcome =
    ({ record: "applied", forget: "pending", finish_rollback: "rolled_back" } as const)[kind];
  const detail = {
    record: "it is in the database, but was not in the ledger",
    forget: "it is not in the database, but was applied according to the ledger",
    finish_rollback: "it was rolled back, but this was not recorded in the ledger",
  }[kind];
  const former = correction.kind === "record"
    ? ""
    : `; former row: ${JSON.stringify(correction.row)}`;
  const event = await eventOf(workspace, migration, {
    direction: "reconcile",
    outcome,
    detail: detail + former,
  });
  await session.record(async (ledger) => {
    await addEvent(ledger, event);
    if (correction.kind === "forget") return await removeHistory(ledger, migration.id);
    const databasePath = locationOf(workspace, migration.database).path;
    if (correction.kind === "finish_rollback") {
      return await setHistory(ledger, { ...correction.row, databasePath, status: "rolled_back" });
    }
    // The marker's name rather than the registry's, because the migration may have been renamed.
    const { name, appliedAt, durationSeconds } = correction.marker;
    await setHistory(ledger, {
      id: migration.id,
      name,
      databasePath,
      appliedAt,
      durationSeconds,
      status: "applied",
      error: null,
    });
  });
}

async function eventOf(
  workspace: Workspace,
  migration: Correction["migration"],
  what: Pick<NewEvent, "direction" | "outcome" | "detail">,
): Promise<NewEvent> {
  const now = epochSeconds();
  return {
    id: migration.id,
    name: migration.name,
    database: migration.database,
    databasePath: locationOf(workspace, migration.database).path,
    startedAt: now,
    endedAt: now,
    durationSeconds: null,
    error: null,
    checksum: await checksumOf(migration.upgrade),
    ...what,
  };
}

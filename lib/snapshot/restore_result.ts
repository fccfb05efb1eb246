import type { Reconciliation } from "../engine/reconcile.ts";

/** What a restore did. */
export interface RestoreResult extends Reconciliation {
  /** Name of the snapshot, or path of the file. */
  readonly snapshot: string;
  /** Databases that were replaced. */
  readonly restored: readonly string[];
  /** Name of the snapshot of what was there before; null where nothing was. */
  readonly safety: string | null;
  /**
   * Names of the snapshots of what was there when a restore went on that had been interrupted; absent
   * where there are none.
   */
  readonly laterSnapshots?: readonly string[];
}

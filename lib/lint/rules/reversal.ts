import { compareSchemas } from "../../schema/compare.ts";
import type { Schema } from "../../schema/model.ts";
import type { Fault } from "../../trial/finding.ts";
import { type BodyRun, type Failure, quoted } from "../rehearsal.ts";
import type { Rehearsed } from "./rule.ts";

/** What came of taking an upgrade back and of running it again. */
export interface Reversal {
  /** The downgrade; null where there is none. */
  readonly down: BodyRun | null;
  /** Schema after the downgrade; null where it failed or there is none. */
  readonly restored: Schema | null;
  /** Why the upgrade does not run after the downgrade; null where it does. */
  readonly again: Failure | null;
  /** Why the upgrade, which claims that it may, does not run twice; null where it does. */
  readonly twice: Failure | null;
}

/** Downgrades that are missing, fail, or don't restore the schema; and upgrades that claim too much. */
export async function reversalFaults(
  { before }: Pick<Rehearsed, "before">,
  { down, restored, again, twice }: Reversal,
): Promise<Fault[]> {
  const faults: Fault[] = [];
  if (down === null) {
    faults.push({
      code: "no-downgrade",
      severity: "warning",
      reason: "it has no downgrade, so only a backup takes it back",
      fix: 'add a section "-- migrate:down", or downgrade in a module',
    });
  } else if (down.failure !== null) {
    faults.push({
      code: "fails",
      severity: down.failure.isCertain ? "error" : "warning",
      direction: "downgrade",
      place: down.failure.place,
      reason: `its downgrade fails on a copy of the schema: ${reasonOf(down.failure)}`,
      fix: "mend the downgrade",
    });
  }
  const differences = restored === null || restored === before
    ? []
    : await compareSchemas(before, restored);
  if (differences.length > 0) {
    faults.push({
      code: "downgrade-differs",
      severity: "warning",
      direction: "downgrade",
      reason: `its downgrade doesn't restore the former schema: ${
        differences.map(({ detail }) => detail).join("; ")
      }`,
      fix: "take back in the downgrade all that the upgrade does",
    });
  } else if (again !== null) {
    faults.push({
      code: "downgrade-differs",
      severity: "warning",
      place: again.place,
      reason: `it doesn't run again after its downgrade: ${reasonOf(again)}`,
      fix: "take back in the downgrade all that the upgrade does, rows too",
    });
  }
  if (twice !== null) {
    faults.push({
      code: "not-idempotent",
      severity: "warning",
      place: twice.place,
      reason: `it says IF NOT EXISTS or IF EXISTS, and yet doesn't run twice: ${reasonOf(twice)}`,
      fix: "say it of every object, or of none: each migration is applied once",
    });
  }
  return faults;
}

/** Why a body failed, with the statement. */
export function reasonOf({ message, place }: Failure): string {
  return place === undefined ? message : `${message} (${quoted(place.sql)})`;
}

import type { SnapshotReason } from "./manifest.ts";

/** Which snapshots of each database to keep; manual, automatic and safety ones are counted apart. */
export interface Retention {
  /** The newest so many. */
  readonly keep?: number;
  /** The newest of each of the last so many days that have one. */
  readonly keepDaily?: number;
  /** The newest of each of the last so many weeks that have one. */
  readonly keepWeekly?: number;
  /** The newest of each of the last so many months that have one. */
  readonly keepMonthly?: number;
}

/** A snapshot as far as keeping it goes. */
export interface Candidate {
  readonly name: string;
  /** Unix epoch seconds. */
  readonly createdAt: number;
  readonly reason: SnapshotReason;
  /** Whether all its files are there. */
  readonly isWhole: boolean;
  /** Databases of which its file is there; the ledger is one as well. */
  readonly databases: readonly string[];
}

const DAY = 86_400;
/** 1 January 1970 was a Thursday; weeks begin on Monday. */
const DAYS_TO_MONDAY = 3;

/**
 * Names of the snapshots that a retention does not keep, oldest first.
 *
 * It counts the snapshots of each database: one of `trading` alone must not push out the last one of
 * `positions`. And it counts those of each reason, since an automatic one goes by a limit of its own,
 * and one of before a restore holds what somebody wanted to be rid of. Only whole ones count; of each
 * database the newest of each reason always stays, and where none is whole, its newest file.
 */
export function expired(candidates: readonly Candidate[], retention: Retention): string[] {
  const newestFirst = candidates.toSorted((a, b) => b.createdAt - a.createdAt);
  const kept = new Set<Candidate>();
  for (const database of new Set(candidates.flatMap(({ databases }) => databases))) {
    const having = newestFirst.filter(({ databases }) => databases.includes(database));
    const whole = having.filter(({ isWhole }) => isWhole);
    const counted = whole.length > 0 ? whole : having.slice(0, 1);
    for (const group of Map.groupBy(counted, ({ reason }) => reason).values()) {
      for (const one of keptOf(group, retention)) kept.add(one);
    }
  }
  return newestFirst.filter((one) => !kept.has(one)).map(({ name }) => name).toReversed();
}

function keptOf(newestFirst: readonly Candidate[], retention: Retention): Candidate[] {
  const day = (moment: number) => Math.floor(moment / DAY);
  const week = (moment: number) => Math.floor((day(moment) + DAYS_TO_MONDAY) / 7);
  return [
    ...newestFirst.slice(0, Math.max(1, retention.keep ?? 0)),
    ...newestOfEach(newestFirst, day, retention.keepDaily),
    ...newestOfEach(newestFirst, week, retention.keepWeekly),
    ...newestOfEach(newestFirst, monthOf, retention.keepMonthly),
  ];
}

function newestOfEach(
  newestFirst: readonly Candidate[],
  periodOf: (epochSeconds: number) => number,
  periods = 0,
): Candidate[] {
  const newest = new Map<number, Candidate>();
  for (const candidate of newestFirst) {
    const period = periodOf(candidate.createdAt);
    if (!newest.has(period) && newest.size < periods) newest.set(period, candidate);
  }
  return [...newest.values()];
}

function monthOf(epochSeconds: number): number {
  const date = new Date(epochSeconds * 1000);
  return date.getUTCFullYear() * 12 + date.getUTCMonth();
}

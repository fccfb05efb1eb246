/** Which snapshots to keep. */
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
  /** Whether all its files are there. */
  readonly isWhole: boolean;
}

const DAY = 86_400;
/** 1 January 1970 was a Thursday; weeks begin on Monday. */
const DAYS_TO_MONDAY = 3;

/**
 * Names of the snapshots that a retention does not keep, oldest first. Only whole snapshots count as
 * kept, and the newest whole one always stays.
 */
export function expired(candidates: readonly Candidate[], retention: Retention): string[] {
  const newestFirst = candidates.toSorted((a, b) => b.createdAt - a.createdAt);
  const whole = newestFirst.filter(({ isWhole }) => isWhole);
  const day = (moment: number) => Math.floor(moment / DAY);
  const kept = new Set([
    ...whole.slice(0, Math.max(1, retention.keep ?? 0)),
    ...newestOfEach(whole, day, retention.keepDaily),
    ...newestOfEach(
      whole,
      (moment) => Math.floor((day(moment) + DAYS_TO_MONDAY) / 7),
      retention.keepWeekly,
    ),
    ...newestOfEach(whole, monthOf, retention.keepMonthly),
  ]);
  return newestFirst.filter((one) => !kept.has(one)).map(({ name }) => name).toReversed();
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

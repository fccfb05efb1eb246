/** Progress of long work, ready to be shown. */
export interface WorkStep {
  /** The current step in words, such as `checking trading`. */
  readonly what: string;
  /** The share of the whole work that is done, from 0 to 1. */
  readonly share: number;
  /**
   * The share that will be done when this step ends. SQLite does some steps in a single call, so that
   * nothing can be reported before then.
   */
  readonly until: number;
}

/** Receives the progress of long work. */
export type OnStep = (step: WorkStep) => void;

/** Reports work that is a part of other work, from one share of that to another. */
export function partOfWork(
  report: OnStep | undefined,
  [from, to]: readonly [from: number, to: number],
): OnStep | undefined {
  const scaled = (share: number) => from + (to - from) * share;
  return report &&
    (({ what, share, until }) => report({ what, share: scaled(share), until: scaled(until) }));
}

/** Reports steps whose weights, such as the bytes to read, are known in advance. */
export class Steps {
  readonly #total: number;
  readonly #report: OnStep | undefined;
  #what = "";
  #begun = 0;
  #weight = 0;

  /** `total` is the weight of all steps; without `report` nothing happens. */
  constructor(total: number, report: OnStep | undefined) {
    this.#total = Math.max(1, total);
    this.#report = report;
  }

  /** Begins a step; the one before it is done. */
  begin(what: string, weight: number): void {
    this.#begun += this.#weight;
    this.#what = what;
    this.#weight = weight;
    this.advance(0);
  }

  /** Reports how much of the current step is done: a share from 0 to 1, or units out of `total`. */
  advance(done: number, total = 1): void {
    const share = done / Math.max(1, total); // an empty file has 0 pages
    const until = this.#begun + this.#weight;
    this.#report?.({
      what: this.#what,
      share: Math.min(1, (this.#begun + this.#weight * Math.min(1, share)) / this.#total),
      until: Math.min(1, until / this.#total),
    });
  }
}

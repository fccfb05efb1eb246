/** Options of {@link unifiedDiff}. */
interface DiffOptions {
  /** Name of the first text. */
  readonly before: string;
  /** Name of the second text. */
  readonly after: string;
}

/** Where a line is: in both texts, only in the first, or only in the second. */
type Mark = " " | "-" | "+";

interface DiffLine {
  readonly mark: Mark;
  readonly text: string;
}

/** Number of equal lines around each change. */
const CONTEXT = 3;

/** Above this number of edits lines are not matched: it would take long, and the diff would not help. */
const MOST_EDITS = 1000;

/**
 * Returns the difference between two texts in the unified format, without a line break at the end.
 * Empty if they are the same. Line endings, and a missing one after the last line, are ignored.
 */
export function unifiedDiff(before: string, after: string, options: DiffOptions): string {
  const lines = diffLines(linesOf(before), linesOf(after));
  const hunks = hunksOf(lines);
  if (hunks.length === 0) return "";
  return [`--- ${options.before}`, `+++ ${options.after}`, ...hunks].join("\n");
}

/** Whether two texts are the same apart from their line endings. */
export function sameLines(before: string, after: string): boolean {
  return linesOf(before).join("\n") === linesOf(after).join("\n");
}

function linesOf(text: string): string[] {
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

function diffLines(before: readonly string[], after: readonly string[]): DiffLine[] {
  const shorter = Math.min(before.length, after.length);
  let head = 0;
  while (head < shorter && before[head] === after[head]) head++;
  let tail = 0;
  while (tail < shorter - head && before.at(-1 - tail) === after.at(-1 - tail)) tail++;
  return [
    ...marked(before.slice(0, head), " "),
    ...diffMiddle(
      before.slice(head, before.length - tail),
      after.slice(head, after.length - tail),
    ),
    ...marked(before.slice(before.length - tail), " "),
  ];
}

function marked(lines: readonly string[], mark: Mark): DiffLine[] {
  return lines.map((text) => ({ mark, text }));
}

/**
 * Finds the fewest edits with Myers' greedy algorithm: computes how far each number of edits reaches on
 * each diagonal, then walks back.
 */
function diffMiddle(before: readonly string[], after: readonly string[]): DiffLine[] {
  const trail = findTrail(before, after);
  if (trail === null) return [...marked(before, "-"), ...marked(after, "+")];
  const lines: DiffLine[] = [];
  let x = before.length;
  let y = after.length;
  for (let edits = trail.length - 1; edits >= 0; edits--) {
    const reach = trail[edits] ?? new Map<number, number>();
    const diagonal = x - y;
    const former = edits === 0
      ? diagonal
      : comesDown(reach, diagonal, edits)
      ? diagonal + 1
      : diagonal - 1;
    const formerX = edits === 0 ? 0 : reachOf(reach, former);
    const formerY = edits === 0 ? 0 : formerX - former;
    while (x > formerX && y > formerY) {
      lines.push({ mark: " ", text: before[--x] ?? "" });
      y--;
    }
    if (x > formerX) lines.push({ mark: "-", text: before[--x] ?? "" });
    else if (y > formerY) lines.push({ mark: "+", text: after[--y] ?? "" });
  }
  return lines.toReversed();
}

/** For each diagonal, the furthest position reached in the first text. */
type Reach = ReadonlyMap<number, number>;

/** The positions reached before each edit; null if there are too many edits. */
function findTrail(before: readonly string[], after: readonly string[]): Reach[] | null {
  const trail: Reach[] = [];
  const most = Math.min(before.length + after.length, MOST_EDITS);
  let reach: Reach = new Map([[1, 0]]);
  for (let edits = 0; edits <= most; edits++) {
    trail.push(reach);
    const next = new Map<number, number>();
    for (let diagonal = -edits; diagonal <= edits; diagonal += 2) {
      let x = comesDown(reach, diagonal, edits)
        ? reachOf(reach, diagonal + 1)
        : reachOf(reach, diagonal - 1) + 1;
      while (
        x < before.length && x - diagonal < after.length && before[x] === after[x - diagonal]
      ) {
        x++;
      }
      next.set(diagonal, x);
      if (x >= before.length && x - diagonal >= after.length) return trail;
    }
    reach = next;
  }
  return null;
}

/** Whether the furthest path to a diagonal inserts a line rather than deletes one. */
function comesDown(reach: Reach, diagonal: number, edits: number): boolean {
  return diagonal === -edits ||
    (diagonal !== edits && reachOf(reach, diagonal - 1) < reachOf(reach, diagonal + 1));
}

function reachOf(reach: Reach, diagonal: number): number {
  return reach.get(diagonal) ?? -1;
}

function hunksOf(lines: readonly DiffLine[]): string[] {
  const hunks: string[] = [];
  let end = 0;
  const place = { before: 1, after: 1 };
  for (;;) {
    const change = lines.findIndex(({ mark }, at) => at >= end && mark !== " ");
    if (change === -1) return hunks;
    const start = Math.max(end, change - CONTEXT);
    advance(place, lines.slice(end, start));
    end = endOfHunk(lines, change);
    const hunk = lines.slice(start, end);
    hunks.push(
      `@@ -${range(place.before, hunk, "-")} +${range(place.after, hunk, "+")} @@`,
      ...hunk.map(({ mark, text }) => `${mark}${text}`),
    );
    advance(place, hunk);
  }
}

/** Changes with at most twice as many lines between them as a context has share a hunk. */
function endOfHunk(lines: readonly DiffLine[], change: number): number {
  let last = change;
  for (let at = change; at < lines.length && at - last <= 2 * CONTEXT + 1; at++) {
    if (lines[at]?.mark !== " ") last = at;
  }
  return Math.min(lines.length, last + CONTEXT + 1);
}

function advance(place: { before: number; after: number }, lines: readonly DiffLine[]): void {
  place.before += lines.filter(({ mark }) => mark !== "+").length;
  place.after += lines.filter(({ mark }) => mark !== "-").length;
}

/** First line and number of lines; without lines, the line before. */
function range(first: number, hunk: readonly DiffLine[], mine: Mark): string {
  const count = hunk.filter(({ mark }) => mark === " " || mark === mine).length;
  const start = count === 0 ? first - 1 : first;
  return count === 1 ? `${start}` : `${start},${count}`;
}

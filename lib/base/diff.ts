/** How {@link unifiedDiff} writes what differs. */
interface DiffOptions {
  /** What the first text is called. */
  readonly before: string;
  /** What the second text is called. */
  readonly after: string;
  /** Number of equal lines around each change. Default 3. */
  readonly context?: number;
}

/** What happened to a line: it is in both texts, only in the first, or only in the second. */
type Mark = " " | "-" | "+";

interface DiffLine {
  readonly mark: Mark;
  readonly text: string;
}

/** More lines that differ than that are not matched: it would take long and help nobody. */
const MOST_EDITS = 1000;

/**
 * Says in the unified format how the second text differs from the first, without a line break at
 * the end. Empty where they are the same; how lines end, and whether the last one does, is no
 * difference.
 */
export function unifiedDiff(before: string, after: string, options: DiffOptions): string {
  const { context = 3 } = options;
  const lines = diffLines(linesOf(before), linesOf(after));
  const hunks = hunksOf(lines, context);
  if (hunks.length === 0) return "";
  return [`--- ${options.before}`, `+++ ${options.after}`, ...hunks].join("\n");
}

/** Tells whether two texts are the same but for how their lines end. */
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
 * The fewest edits, by Myers' greedy algorithm: for each number of edits and each diagonal, how far
 * into the first text one comes; then the way back.
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

/** For each diagonal, how far into the first text one comes. */
type Reach = ReadonlyMap<number, number>;

/** What was reached before each edit, up to the last; null where there are too many. */
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

/** Whether the furthest way to a diagonal inserts a line rather than deletes one. */
function comesDown(reach: Reach, diagonal: number, edits: number): boolean {
  return diagonal === -edits ||
    (diagonal !== edits && reachOf(reach, diagonal - 1) < reachOf(reach, diagonal + 1));
}

function reachOf(reach: Reach, diagonal: number): number {
  return reach.get(diagonal) ?? -1;
}

function hunksOf(lines: readonly DiffLine[], context: number): string[] {
  const hunks: string[] = [];
  let end = 0;
  const place = { before: 1, after: 1 };
  for (;;) {
    const change = lines.findIndex(({ mark }, at) => at >= end && mark !== " ");
    if (change === -1) return hunks;
    const start = Math.max(end, change - context);
    advance(place, lines.slice(end, start));
    end = endOfHunk(lines, change, context);
    const hunk = lines.slice(start, end);
    hunks.push(
      `@@ -${range(place.before, hunk, "-")} +${range(place.after, hunk, "+")} @@`,
      ...hunk.map(({ mark, text }) => `${mark}${text}`),
    );
    advance(place, hunk);
  }
}

/** Changes that have no more than twice the context between them are one hunk. */
function endOfHunk(lines: readonly DiffLine[], change: number, context: number): number {
  let last = change;
  for (let at = change; at < lines.length && at - last <= 2 * context + 1; at++) {
    if (lines[at]?.mark !== " ") last = at;
  }
  return Math.min(lines.length, last + context + 1);
}

function advance(place: { before: number; after: number }, lines: readonly DiffLine[]): void {
  place.before += lines.filter(({ mark }) => mark !== "+").length;
  place.after += lines.filter(({ mark }) => mark !== "-").length;
}

/** First line and number of lines; where there are none, the line before. */
function range(first: number, hunk: readonly DiffLine[], mine: Mark): string {
  const count = hunk.filter(({ mark }) => mark === " " || mark === mine).length;
  const start = count === 0 ? first - 1 : first;
  return count === 1 ? `${start}` : `${start},${count}`;
}

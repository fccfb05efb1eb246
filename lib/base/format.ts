/**
 * Words for messages: sizes, durations, dates, counts, and suggestions for a mistyped word.
 *
 * @module
 */

/**
 * Control characters, direction marks, line separators and lone surrogates, as a class of a regular
 * expression with the flag `u`: characters that could move the cursor or make a name look like another.
 * Written as ranges because `\p{…}` costs start-up time.
 */
export const UNSAFE_CHARACTERS = String
  .raw`[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]`;

const BYTE_UNITS = ["kB", "MB", "GB", "TB", "PB"] as const;

/** Formats a number of bytes with decimal units: `512 B`, `1.2 MB`. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  let value = bytes / 1000;
  let unit = 0;
  // 999.95 and up would round to "1000.0"; the next unit shows "1.0".
  while (value >= 999.95 && unit < BYTE_UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value.toFixed(1)} ${BYTE_UNITS[unit]}`;
}

/** Formats a duration given in seconds: `3 ms`, `1.2 s`, `2 min 5 s`, `1 h 4 min`. */
export function formatDuration(seconds: number): string {
  const milliseconds = Math.round(seconds * 1000);
  if (milliseconds === 0 && seconds > 0) return "<1 ms";
  if (milliseconds < 1000) return `${milliseconds} ms`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Formats an age given in seconds with one unit: `5 min`, `26 h`, `3 days`. */
export function formatAge(seconds: number): string {
  if (seconds < 3600) return `${Math.max(0, Math.floor(seconds / 60))} min`;
  if (seconds < 86_400 * 2) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} days`;
}

/**
 * Formats Unix epoch seconds as UTC `YYYY-MM-DD HH:MM:SS`, like SQLite's `datetime(x, 'unixepoch')`,
 * without fractions of a second. A number that is not a valid date is shown unchanged, because one
 * damaged row must not hide the others.
 */
export function formatDate(epochSeconds: number): string {
  const date = new Date(epochSeconds * 1000);
  if (Number.isNaN(date.valueOf())) return String(epochSeconds);
  return date.toISOString().replace("T", " ").replace(/\.\d+Z$/, "");
}

/** Formats a count with its noun: `1 row`, `1,234 rows`, `2 indexes`. */
export function formatCount(count: number | bigint, noun: string): string {
  // Not `toLocaleString`: it loads locale data, which costs start-up time.
  const digits = String(count).replace(/\B(?=(\d{3})+$)/g, ",");
  return `${digits} ${digits === "1" ? noun : plural(noun)}`;
}

function plural(noun: string): string {
  if (/(s|x|ch|sh)$/.test(noun)) return `${noun}es`;
  if (/[^aeiou]y$/.test(noun)) return `${noun.slice(0, -1)}ies`;
  return `${noun}s`;
}

/** Now, in Unix epoch seconds. */
export function epochSeconds(): number {
  return Math.floor(Date.now() / 1000);
}

/** Joins words: `quick, full or none`. */
export function alternatives(words: readonly string[]): string {
  return words.join(", ").replace(/, (?=[^,]*$)/, " or ");
}

/** `did you mean "x"? ` with the candidate closest to a mistyped word; empty if none is close. */
export function didYouMean(word: string, candidates: readonly string[]): string {
  let best = "";
  let least = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const steps = distance(word.toLowerCase(), candidate.toLowerCase());
    if (steps < least) [best, least] = [candidate, steps];
  }
  return best === "" ? "" : `did you mean "${best}"? `;
}

/** Number of single-character edits from `a` to `b`; swapping two neighbours counts as one. */
export function distance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const changed = a[row - 1] === b[column - 1] ? 0 : 1;
      let steps = Math.min(
        at(last, column) + 1,
        at(current, column - 1) + 1,
        at(last, column - 1) + changed,
      );
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        steps = Math.min(steps, at(beforeLast, column - 2) + 1);
      }
      current.push(steps);
    }
    [beforeLast, last] = [last, current];
  }
  return at(last, b.length);
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Infinity;
}

/** Quotes a text as one shell word, for commands that a message suggests. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const BYTE_UNITS = ["kB", "MB", "GB", "TB", "PB"] as const;

/** Writes a number of bytes with decimal units: `512 B`, `1.2 MB`. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  let value = bytes / 1000;
  let unit = 0;
  // 999.95 and up would be rounded to "1000.0"; the next unit says it as "1.0".
  while (value >= 999.95 && unit < BYTE_UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value.toFixed(1)} ${BYTE_UNITS[unit]}`;
}

/** Writes a time span, given in seconds, for people: `3 ms`, `1.2 s`, `2 min 5 s`, `1 h 4 min`. */
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

/**
 * Writes Unix epoch seconds as UTC `YYYY-MM-DD HH:MM:SS`, as SQLite's `datetime(x, 'unixepoch')`
 * does. Fractions of a second are left out.
 *
 * @throws {RangeError} where the number is no date.
 */
export function utcDate(epochSeconds: number): string {
  return new Date(epochSeconds * 1000).toISOString().replace("T", " ").replace(/\.\d+Z$/, "");
}

/**
 * Writes Unix epoch seconds as {@link utcDate} does. A number that is no date is shown as it is:
 * one damaged row must not hide the others.
 */
export function formatDate(epochSeconds: number): string {
  try {
    return utcDate(epochSeconds);
  } catch {
    return String(epochSeconds);
  }
}

/** Writes a count with its noun in the singular or plural: `1 row`, `1,234 rows`, `2 indexes`. */
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

// Control characters, the marks that reverse the direction of the text after them, line separators
// and lone surrogates: what could move the cursor or make a name look like another. They are
// written as ranges because a regular expression with `\p{…}` costs start-up time.
const UNSAFE = String
  .raw`[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]`;
// What marks a colour until the text is written: other than a terminal's own sequences, data can't hold it.
const MARK = `\x1b<${crypto.randomUUID()}>`;
const STYLE = `${MARK}\\d+m`;
const EVERY_UNSAFE = new RegExp(UNSAFE, "gu");
const STYLED_OR_UNSAFE = new RegExp(`${STYLE}|${UNSAFE}`, "gu");
const LAYOUT_OR_UNSAFE = new RegExp(`\r?\n|\t|${STYLE}|${UNSAFE}`, "gu");
const EVERY_STYLE = new RegExp(STYLE, "g");

/** The mark of a style, by the number that a terminal has for it. */
export function styleMark(code: number): string {
  return `${MARK}${code}m`;
}

const NAMED: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/**
 * Makes data safe to show within one line: a line break becomes `\n`, an escape character `\x1b`.
 * Names in a database are data, and a hostile one must not move the cursor.
 */
export function printable(text: string): string {
  return text.replace(EVERY_UNSAFE, visible);
}

/** How {@link printableLines} treats a text. */
interface PrintableLinesOptions {
  /** Whether the terminal's own sequences take the place of the marks of styles. Default `false`: they are dropped. */
  readonly styled?: boolean;
}

/** Makes text of several lines ready to be written: line breaks and tabs stay, the rest is made visible. */
export function printableLines(text: string, options: PrintableLinesOptions = {}): string {
  return text.replace(LAYOUT_OR_UNSAFE, (found) => {
    if (found.startsWith(MARK)) return options.styled ? `\x1b[${found.slice(MARK.length)}` : "";
    return found.length > 1 || found === "\n" || found === "\t" ? found : visible(found);
  });
}

/** Makes a text that may have styles safe to show within one line. */
export function printableLine(text: string): string {
  return text.replace(STYLED_OR_UNSAFE, (found) => found.startsWith(MARK) ? found : visible(found));
}

/** Writes the characters that JSON lets through, and a terminal may act on, as JSON escapes. */
export function printableJson(json: string): string {
  return json.replace(EVERY_UNSAFE, (found) => found === "\n" ? found : escaped(found));
}

/** Takes the marks of styles out of a text. */
export function stripStyle(text: string): string {
  return text.replace(EVERY_STYLE, "");
}

function visible(character: string): string {
  const code = character.charCodeAt(0);
  return NAMED[character] ??
    (code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : escaped(character));
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

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

/** Writes how old something is, given in seconds, in one unit: `<1 min`, `5 min`, `26 h`, `3 days`. */
export function formatAge(seconds: number): string {
  if (seconds < 60) return "<1 min";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400 * 2) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} days`;
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

/** On which side of its column a text stands. */
type Alignment = "left" | "right";

/** How {@link renderTable} lays out its columns. */
interface TableOptions {
  /** Column titles, as a first line. Default: none. */
  readonly header?: readonly string[];
  /** Spaces before each line. Default 0. */
  readonly indent?: number;
  /** Alignment by column; a column without one is aligned to the left. */
  readonly align?: readonly Alignment[];
  /** Spaces between two columns. Default 2. */
  readonly gap?: number;
  /** What stands below a row, by its index, wrapped to 80 cells; empty for a row without. Default: none. */
  readonly notes?: readonly string[];
  /** Cells for a whole line; the last column is wrapped within them. Default: nothing is wrapped. */
  readonly width?: number;
}

/**
 * Renders rows as aligned lines of plain text, without lines drawn around them: a screen reader
 * reads it as it is. The text has no trailing spaces and no line break at its end. Cells may be
 * coloured; each is made safe to show within its line.
 */
export function renderTable(
  rows: readonly (readonly string[])[],
  options: TableOptions = {},
): string {
  const { header, indent = 0, align = [], gap = 2, notes = [], width } = options;
  const lines = (header === undefined ? rows : [header, ...rows]).map((line) =>
    line.map(printableLine)
  );
  const widths: number[] = [];
  for (const line of lines) {
    line.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, visibleWidth(cell));
    });
  }
  const margin = " ".repeat(indent);
  const render = (line: readonly string[]): string =>
    (margin + widths.map((width, column) => {
      const cell = line[column] ?? "";
      const space = " ".repeat(Math.max(0, width - visibleWidth(cell)));
      return align[column] === "right" ? space + cell : cell + space;
    }).join(" ".repeat(gap))).trimEnd();
  if (notes.length > 0) {
    const below = notes.map((note) =>
      note === "" ? "" : wrapText(printableLine(note), 76).map((part) => `\n    ${part}`).join("")
    );
    if (header !== undefined) below.unshift("");
    return lines.map((line, at) => render(line) + (below[at] ?? "")).join("\n");
  }
  if (width === undefined) return lines.map(render).join("\n");
  const last = widths.length - 1;
  const before = widths.slice(0, last).reduce((sum, one) => sum + one + gap, indent);
  return lines.map((line) => {
    if (line.length <= last) return render(line);
    const [first = "", ...others] = wrapText(line[last] ?? "", Math.max(width - before, NARROWEST));
    return [render(line.with(last, first)), ...others.map((part) => " ".repeat(before) + part)]
      .join("\n");
  }).join("\n");
}

/** Cells that a wrapped column has at least, so that it isn't one word on each line. */
const NARROWEST = 20;

/** Breaks a text at its spaces into lines of at most so many cells; a longer word is not cut. */
export function wrapText(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (line === "" || visibleWidth(longer) <= width) line = longer;
    else {
      lines.push(line);
      line = word;
    }
  }
  return [...lines, line];
}

const PLAIN = /^[ -~]*$/;
const JOINER = "\u200d";

/** Number of terminal cells that a text takes; an approximation for scripts other than Latin. */
export function visibleWidth(text: string): number {
  const bare = stripStyle(text);
  if (PLAIN.test(bare)) return bare.length;
  return widthOfAnyScript(bare);
}

function widthOfAnyScript(text: string): number {
  // The expressions are in here because they cost start-up time, and most runs need none of them.
  // Marks that sit on the character before them: accents, joiners, variation selectors, skin tones.
  const nothing = /[\p{M}\u200b-\u200d\u{1f3fb}-\u{1f3ff}]/u;
  // East Asian scripts and their full-width forms.
  const wide =
    /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1b000}-\u{1b2ff}\u{20000}-\u{3fffd}]/u;
  // Two flag letters make one flag of two cells, so each counts as one.
  const emoji = /(?!\p{Regional_Indicator})\p{Emoji_Presentation}/u;
  let width = 0;
  let joined = false;
  for (const character of text) {
    if (!joined && !nothing.test(character)) {
      width += wide.test(character) || emoji.test(character) ? 2 : 1;
    }
    joined = character === JOINER;
  }
  return width;
}

/** Now, in Unix epoch seconds. */
export function epochSeconds(): number {
  return Math.floor(Date.now() / 1000);
}

/** `did you mean "x"? ` for the candidate nearest to a mistyped word; empty where none is near. */
export function didYouMean(word: string, candidates: readonly string[]): string {
  let best = "";
  let least = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const steps = distance(word.toLowerCase(), candidate.toLowerCase());
    if (steps < least) [best, least] = [candidate, steps];
  }
  return best === "" ? "" : `did you mean "${best}"? `;
}

/** Number of single-character edits, a swap of neighbours counting as one, from `a` to `b`. */
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

/** A text as one word of a shell's command line, for commands that a message tells a user to type. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** What an error says, whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

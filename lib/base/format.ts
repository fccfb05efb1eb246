// Control characters, direction marks, line separators and lone surrogates: characters that could move
// the cursor or make a name look like another. Written as ranges because a regular expression with
// `\p{…}` costs start-up time.
const UNSAFE = String
  .raw`[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]`;
// Marks a colour until the text is written. Unlike a terminal's own sequences, data cannot contain it.
const MARK = `\x1b<${Math.random().toString(36)}>`;
const STYLE = `${MARK}\\d+m`;
// Most texts are plain, so the other expressions, which take time to compile, are not needed.
const PLAIN = /^[ -~]*$/;
const PLAIN_LINES = /^[ -~\n\t]*$/;
const EVERY_UNSAFE = new RegExp(UNSAFE, "gu");
const STYLED_OR_UNSAFE = new RegExp(`${STYLE}|${UNSAFE}`, "gu");
const LAYOUT_OR_UNSAFE = new RegExp(`\r?\n|\t|${STYLE}|${UNSAFE}`, "gu");
const EVERY_STYLE = new RegExp(STYLE, "g");

/** The mark for a style with the given terminal code. */
export function styleMark(code: number): string {
  return `${MARK}${code}m`;
}

const NAMED: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/**
 * Makes data safe to show on one line: a line break becomes `\n`, an escape character `\x1b`. Names
 * in a database are data, and a hostile name must not move the cursor.
 */
export function printable(text: string): string {
  return PLAIN.test(text) ? text : text.replace(EVERY_UNSAFE, visible);
}

/** Options of {@link printableLines}. */
interface PrintableLinesOptions {
  /** Whether to turn style marks into terminal sequences. Default `false`: they are removed. */
  readonly styled?: boolean;
}

/** Makes multi-line text safe to write: keeps line breaks and tabs, escapes other unsafe characters. */
export function printableLines(text: string, options: PrintableLinesOptions = {}): string {
  if (PLAIN_LINES.test(text)) return text;
  return text.replace(LAYOUT_OR_UNSAFE, (found) => {
    if (found.startsWith(MARK)) return options.styled ? `\x1b[${found.slice(MARK.length)}` : "";
    return found.length > 1 || found === "\n" || found === "\t" ? found : visible(found);
  });
}

/** Makes text that may have styles safe to show on one line. */
export function printableLine(text: string): string {
  if (PLAIN.test(text)) return text;
  return text.replace(STYLED_OR_UNSAFE, (found) => found.startsWith(MARK) ? found : visible(found));
}

/** Escapes the characters that JSON allows but a terminal may act on. */
export function printableJson(json: string): string {
  if (PLAIN_LINES.test(json)) return json;
  return json.replace(EVERY_UNSAFE, (found) => found === "\n" ? found : escaped(found));
}

/** Removes style marks from a text. */
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
 * Formats Unix epoch seconds as UTC `YYYY-MM-DD HH:MM:SS`, like SQLite's `datetime(x, 'unixepoch')`.
 * Fractions of a second are dropped.
 *
 * @throws {RangeError} if the number is not a valid date.
 */
export function utcDate(epochSeconds: number): string {
  return new Date(epochSeconds * 1000).toISOString().replace("T", " ").replace(/\.\d+Z$/, "");
}

/**
 * Formats Unix epoch seconds like {@link utcDate}. A number that is not a valid date is shown
 * unchanged, because one damaged row must not hide the others.
 */
export function formatDate(epochSeconds: number): string {
  try {
    return utcDate(epochSeconds);
  } catch {
    return String(epochSeconds);
  }
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

/** Alignment of a text within its column. */
type Alignment = "left" | "right";

/** Options of {@link renderTable}. */
interface TableOptions {
  /** Column titles for the first line. Default: none. */
  readonly header?: readonly string[];
  /** Spaces before each line. Default 0. */
  readonly indent?: number;
  /** Alignment by column. Default: left. */
  readonly align?: readonly Alignment[];
  /** Spaces between two columns. Default 2. */
  readonly gap?: number;
  /** Note below each row, by index, wrapped to 80 cells; empty for none. Default: no notes. */
  readonly notes?: readonly string[];
  /** Width of a line in cells; the last column is wrapped to fit. Default: no wrapping. */
  readonly width?: number;
  /** Width of the terminal; rows of a wider table with a header become blocks. Default: unlimited. */
  readonly screen?: number;
}

/**
 * Renders rows as aligned lines of plain text without borders, so that screen readers can read it. The
 * text has no trailing spaces and no line break at the end. Cells may be coloured; unsafe characters
 * in them are escaped.
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
  const { screen = Infinity } = options;
  const total = widths.reduce((sum, one) => sum + one + gap, indent - gap);
  if (header !== undefined && total > screen) {
    return lines.slice(1).map((line, at) => renderBlock(line, { header, note: notes[at], screen }))
      .join("\n\n");
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

/** A row as a block: the first cell, and below it the others with the titles of their columns. */
function renderBlock(
  [first = "", ...others]: readonly string[],
  { header, note = "", screen }: {
    readonly header: readonly string[];
    readonly note: string | undefined;
    readonly screen: number;
  },
): string {
  const titles = others.map((_, at) => header[at + 1] ?? "");
  const width = Math.max(0, ...titles.map(visibleWidth)) + 2;
  return [
    first,
    ...others.map((cell, at) => `  ${(titles[at] ?? "").padEnd(width)}${cell}`),
    ...note === "" ? [] : wrapText(printableLine(note), screen - 4).map((part) => `    ${part}`),
  ].join("\n");
}

/** Minimum width of a wrapped column in cells, so that it is not one word per line. */
const NARROWEST = 20;

/** Breaks a text at spaces into lines of at most `width` cells; longer words are not broken. */
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

const JOINER = "\u200d";

/** Number of terminal cells that a text occupies; approximate for non-Latin scripts. */
export function visibleWidth(text: string): number {
  if (PLAIN.test(text)) return text.length;
  const bare = stripStyle(text);
  if (PLAIN.test(bare)) return bare.length;
  return widthOfAnyScript(bare);
}

function widthOfAnyScript(text: string): number {
  // Kept inside the function: the expressions cost start-up time, and most runs need none of them.
  // Characters that combine with the one before: accents, joiners, variation selectors, skin tones.
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

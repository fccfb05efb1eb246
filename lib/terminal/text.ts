/**
 * Text for a terminal: escapes control characters, colours, measures, wraps and aligns. Pure functions.
 *
 * @module
 */
import { UNSAFE_CHARACTERS } from "../base/format.ts";

// Marks a colour until the text is written. Unlike a terminal's own sequences, data cannot contain it.
const MARK = `\x1b<${Math.random().toString(36)}>`;
const STYLE = `${MARK}\\d+m`;
// Most texts are plain, so the other expressions, which take time to compile, are not needed.
const PLAIN = /^[ -~]*$/;
const PLAIN_LINES = /^[ -~\n\t]*$/;
const EVERY_UNSAFE = new RegExp(UNSAFE_CHARACTERS, "gu");
const STYLED_OR_UNSAFE = new RegExp(`${STYLE}|${UNSAFE_CHARACTERS}`, "gu");
const LAYOUT_OR_UNSAFE = new RegExp(`\r?\n|\t|${STYLE}|${UNSAFE_CHARACTERS}`, "gu");
const EVERY_STYLE = new RegExp(STYLE, "g");

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

function visible(character: string): string {
  const code = character.charCodeAt(0);
  return NAMED[character] ??
    (code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : escaped(character));
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Adds colour or weight to a text, or returns it unchanged. */
export type Paint = (text: string) => string;

/** Styles of text on a terminal. */
export interface Style {
  /** Bold text. */
  readonly bold: Paint;
  /** Dim text. */
  readonly dim: Paint;
  /** For problems. */
  readonly red: Paint;
  /** For success. */
  readonly green: Paint;
  /** For warnings. */
  readonly yellow: Paint;
}

/** Creates a {@link Style}; if it is not enabled, it returns every text unchanged. */
export function createStyle(enabled: boolean): Style {
  const paint = (on: number, off: number): Paint => (text) =>
    // An empty text stays empty, so that a table's trailing spaces can be removed.
    enabled && text !== "" ? `${MARK}${on}m${text}${MARK}${off}m` : text;
  return {
    bold: paint(1, 22),
    dim: paint(2, 22),
    red: paint(31, 39),
    green: paint(32, 39),
    yellow: paint(33, 39),
  };
}

/** Spaces between two columns. */
const GAP = 2;

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
  const { header, indent = 0, align = [], notes = [], width } = options;
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
  const total = widths.reduce((sum, one) => sum + one + GAP, indent - GAP);
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
    }).join(" ".repeat(GAP))).trimEnd();
  if (notes.length > 0) {
    const below = notes.map((note) =>
      note === "" ? "" : wrapText(printableLine(note), 76).map((part) => `\n    ${part}`).join("")
    );
    if (header !== undefined) below.unshift("");
    return lines.map((line, at) => render(line) + (below[at] ?? "")).join("\n");
  }
  if (width === undefined) return lines.map(render).join("\n");
  const last = widths.length - 1;
  const before = widths.slice(0, last).reduce((sum, one) => sum + one + GAP, indent);
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
  const bare = text.replace(EVERY_STYLE, "");
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

import { stripStyle } from "./printable.ts";

/** On which side of its column a text stands. */
export type Alignment = "left" | "right";

/** How {@link renderTable} lays out its columns. */
export interface TableOptions {
  /** Column titles, as a first line. Default: none. */
  readonly header?: readonly string[];
  /** Spaces before each line. Default 0. */
  readonly indent?: number;
  /** Alignment by column; a column without one is aligned to the left. */
  readonly align?: readonly Alignment[];
  /** Spaces between two columns. Default 2. */
  readonly gap?: number;
}

/**
 * Renders rows as aligned lines of plain text, without lines drawn around them: a screen reader
 * reads it as it is. The text has no trailing spaces and no line break at its end. Cells may be
 * coloured; a cell that is data must be made `printable` before.
 */
export function renderTable(
  rows: readonly (readonly string[])[],
  options: TableOptions = {},
): string {
  const { header, indent = 0, align = [], gap = 2 } = options;
  const lines = header === undefined ? rows : [header, ...rows];
  const widths: number[] = [];
  for (const line of lines) {
    line.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, visibleWidth(cell));
    });
  }
  const render = (line: readonly string[]): string =>
    widths.map((width, column) => {
      const cell = line[column] ?? "";
      const space = " ".repeat(width - visibleWidth(cell));
      return align[column] === "right" ? space + cell : cell + space;
    }).join(" ".repeat(gap));
  return lines.map((line) => (" ".repeat(indent) + render(line)).trimEnd()).join("\n");
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

import { visibleWidth } from "./width.ts";

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

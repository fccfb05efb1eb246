/**
 * Line charts in plain ASCII, for terminals of any width. The packages for this draw with characters
 * that not every terminal and log can show.
 *
 * @module
 */

/** Options for a chart. */
export interface ChartOptions {
  /** Cells of a line, axis included. */
  readonly width: number;
  /** Lines of the chart. Default 10. */
  readonly height?: number;
  /** Formats a value for the axis. */
  readonly format: (value: number) => string;
  /** Texts below the left and the right end of the chart. Default: none. */
  readonly ends?: readonly [left: string, right: string];
  /** Whether the space between the line and the top of the chart is filled, as for drawdowns. Default `false`. */
  readonly hanging?: boolean;
}

/**
 * Draws values from left to right, the lowest at the bottom and the highest at the top. If there are more
 * values than cells, a cell shows the range of its values. Without values the text is empty.
 */
export function renderChart(values: readonly number[], options: ChartOptions): string {
  const { height = 10, format, ends, hanging = false } = options;
  if (values.length === 0) return "";
  const low = values.reduce((a, b) => Math.min(a, b));
  const high = values.reduce((a, b) => Math.max(a, b));
  const rowOf = (value: number): number =>
    high === low
      ? (hanging ? 0 : Math.floor(height / 2))
      : Math.round((high - value) / (high - low) * (height - 1));
  const labels = Array.from(
    { length: height },
    (_, row) =>
      (high === low ? row === rowOf(low) : row % 3 === 0 || row === height - 1)
        ? format(high - (high - low) * row / (height - 1))
        : "",
  );
  const margin = labels.reduce((most, { length }) => Math.max(most, length), 0);
  const cells = Math.max(8, options.width - margin - 3);
  const grid = Array.from({ length: height }, () => new Array<string>(cells).fill(" "));
  let before: number | null = null;
  for (let cell = 0; cell < cells; cell++) {
    const from = Math.floor(cell * values.length / cells);
    const part = values.slice(
      from,
      Math.max(from + 1, Math.floor((cell + 1) * values.length / cells)),
    );
    const rows = part.map(rowOf);
    const last = rows.at(-1) ?? 0;
    const joined = before === null ? rows : [...rows, before + Math.sign(last - before)];
    const top = hanging ? 0 : joined.reduce((a, b) => Math.min(a, b));
    const bottom = joined.reduce((a, b) => Math.max(a, b));
    for (let row = top; row <= bottom; row++) {
      const line = grid[row];
      if (line !== undefined) line[cell] = hanging ? (row === bottom ? "*" : ":") : "*";
    }
    before = last;
  }
  const lines = grid.map((line, row) =>
    `${(labels[row] ?? "").padStart(margin)} |${line.join("")}`.trimEnd()
  );
  lines.push(`${" ".repeat(margin)} +${"-".repeat(cells)}`);
  if (ends !== undefined) {
    const [left, right] = ends;
    const room = cells - left.length - right.length;
    const text = room < 1 ? left : left + " ".repeat(room) + right;
    lines.push(`${" ".repeat(margin + 2)}${text}`);
  }
  return lines.join("\n");
}

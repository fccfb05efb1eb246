/**
 * Shows the place of an error in a text, with a caret below it.
 *
 * @module
 */

/** Options of {@link excerpt}. */
interface ExcerptOptions {
  /** Offset of the error in the text. */
  readonly at: number;
  /** Offset at which its statement begins; if that is on another line, that line is shown too. Default: `at`. */
  readonly from?: number;
  /** Number of the text's first line. Default 1. */
  readonly firstLine?: number;
  /** Whether to put a caret below the error. Default `true`. */
  readonly caret?: boolean;
}

/** A position in a text: both numbers start at 1, and columns count characters. */
interface ExcerptPlace {
  readonly line: number;
  readonly column: number;
}

/** Most characters shown of a line. */
const WIDTH = 72;

/** Line and column of an offset. */
export function placeOf(text: string, at: number, firstLine = 1): ExcerptPlace {
  let line = firstLine;
  let start = 0;
  for (let end = text.indexOf("\n"); end !== -1 && end < at; end = text.indexOf("\n", start)) {
    line++;
    start = end + 1;
  }
  return { line, column: [...text.slice(start, at)].length + 1 };
}

/** Lines of a text with their numbers, and a caret below the error. */
export function excerpt(text: string, options: ExcerptOptions): string {
  const { at, from = at, firstLine = 1, caret = true } = options;
  const fault = placeOf(text, at, firstLine);
  const first = placeOf(text, from, firstLine);
  const width = String(fault.line).length;
  const gutter = (number: string) => `${number.padStart(width)} | `;
  const { shown, column } = cut(lineAt(text, at), fault.column);
  const lines = [gutter(String(fault.line)) + shown];
  if (caret) lines.push(`${gutter("")}${" ".repeat(column - 1)}^`);
  if (first.line < fault.line) {
    lines.unshift(gutter(String(first.line)) + cut(lineAt(text, from), 1).shown);
    if (fault.line - first.line > 1) lines.splice(1, 0, `${gutter("")}...`);
  }
  return lines.map((line) => line.trimEnd()).join("\n");
}

function lineAt(text: string, at: number): string {
  const start = text.lastIndexOf("\n", at - 1) + 1;
  const end = text.indexOf("\n", at);
  return text.slice(start, end === -1 ? text.length : end).replace(/\r$/, "");
}

/** The part of a line around a column. Tabs are shown as one character so that the caret is aligned. */
function cut(line: string, column: number): { shown: string; column: number } {
  const characters = [...line.replaceAll("\t", " ")];
  if (characters.length <= WIDTH) return { shown: characters.join(""), column };
  const start = Math.max(0, Math.min(column - 1 - WIDTH / 2, characters.length - WIDTH));
  const part = characters.slice(start, start + WIDTH).join("");
  const before = start === 0 ? "" : "...";
  const after = start + WIDTH < characters.length ? "..." : "";
  return { shown: before + part + after, column: column - start + before.length };
}

/** Which place of a text to show. */
interface ExcerptOptions {
  /** Where the fault is, as an offset into the text. */
  readonly at: number;
  /** Where its statement begins; that line is shown too where it is another. Default: `at`. */
  readonly from?: number;
  /** Number of the text's first line. Default 1. */
  readonly firstLine?: number;
  /** Whether to put a caret below the fault. Default `true`. */
  readonly caret?: boolean;
}

/** A place in a text: both numbers begin with 1, and a column is a character. */
export interface ExcerptPlace {
  readonly line: number;
  readonly column: number;
}

/** Characters of a line that are shown. */
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

/** Lines of a text with their numbers, and a caret below the fault. */
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

/** The part of a line around a column. A tab counts as one character, or the caret would be off. */
function cut(line: string, column: number): { shown: string; column: number } {
  const characters = [...line.replaceAll("\t", " ")];
  if (characters.length <= WIDTH) return { shown: characters.join(""), column };
  const start = Math.max(0, Math.min(column - 1 - WIDTH / 2, characters.length - WIDTH));
  const part = characters.slice(start, start + WIDTH).join("");
  const before = start === 0 ? "" : "...";
  const after = start + WIDTH < characters.length ? "..." : "";
  return { shown: before + part + after, column: column - start + before.length };
}

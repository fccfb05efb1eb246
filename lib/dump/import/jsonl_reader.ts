/** One line of a JSON Lines text. */
export interface JsonLine {
  /** Its number; the first is 1. */
  readonly line: number;
  readonly text: string;
}

/** Cuts text, given in pieces of any size, into lines that end in LF or CRLF; blank ones are left out. */
export class JsonlReader {
  /** The beginning of a line whose end has not come yet. */
  #parts: string[] = [];
  #line = 1;

  /** Takes a piece of text; returns the lines that are complete now. */
  push(text: string): JsonLine[] {
    const lines: JsonLine[] = [];
    let start = 0;
    for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", start)) {
      this.#parts.push(text.slice(start, at));
      start = at + 1;
      this.#take(lines);
      this.#line++;
    }
    if (start < text.length) this.#parts.push(text.slice(start));
    return lines;
  }

  /** What is left: a last line without a line break. */
  end(): JsonLine[] {
    const lines: JsonLine[] = [];
    this.#take(lines);
    return lines;
  }

  /** Line on which the text given so far ends. */
  get line(): number {
    return this.#line;
  }

  #take(lines: JsonLine[]): void {
    const whole = this.#parts.length === 1 ? this.#parts[0] ?? "" : this.#parts.join("");
    this.#parts = [];
    const text = whole.endsWith("\r") ? whole.slice(0, -1) : whole;
    if (/\S/.test(text)) lines.push({ line: this.#line, text });
  }
}

// Control characters, the marks that reverse the direction of the text after them, line separators
// and lone surrogates: what could move the cursor or make a name look like another. They are
// written as ranges because a regular expression with `\p{…}` costs start-up time.
const UNSAFE = String
  .raw`[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]`;
const STYLE = "\x1b\\[[\\d;]*m";
const EVERY_UNSAFE = new RegExp(UNSAFE, "gu");
const LAYOUT_OR_UNSAFE = new RegExp(`\r?\n|\t|${UNSAFE}`, "gu");
const STYLED_OR_UNSAFE = new RegExp(`\r?\n|\t|${STYLE}|${UNSAFE}`, "gu");
const EVERY_STYLE = new RegExp(STYLE, "g");

const NAMED: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/**
 * Makes data safe to show within one line: a line break becomes `\n`, an escape character `\x1b`.
 * Names in a database are data, and a hostile one must not move the cursor.
 */
export function printable(text: string): string {
  return text.replace(EVERY_UNSAFE, visible);
}

/** How {@link printableLines} treats a text. */
export interface PrintableLinesOptions {
  /** Whether ANSI colours are kept. Default `false`. */
  readonly styled?: boolean;
}

/** Makes text of several lines safe to show: line breaks and tabs stay, the rest is made visible. */
export function printableLines(text: string, options: PrintableLinesOptions = {}): string {
  return text.replace(
    options.styled ? STYLED_OR_UNSAFE : LAYOUT_OR_UNSAFE,
    (found) => found.length > 1 || found === "\n" || found === "\t" ? found : visible(found),
  );
}

/** Writes the characters that JSON lets through, and a terminal may act on, as JSON escapes. */
export function printableJson(json: string): string {
  return json.replace(EVERY_UNSAFE, (found) => found === "\n" ? found : escaped(found));
}

/** Takes ANSI colours out of a text. */
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

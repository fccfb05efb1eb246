/**
 * What the scanner knows of bytes and of how far a statement has come.
 *
 * @module
 */

// In what kind of text a byte is.
export const PLAIN = 0;
export const WORD = 1;
export const SINGLE = 2; // '…'
export const DOUBLE = 3; // "…"
export const BACKTICK = 4; // `…`
export const BRACKET = 5; // […]
export const DASH = 6; // one dash: two begin a comment
export const LINE_COMMENT = 7;
export const SLASH = 8; // one slash: with a star it begins a comment
export const COMMENT = 9; // /* … */
export const STAR = 10; // a star in a comment: with a slash it ends it

// How far a statement has come, as far as a semicolon's meaning depends on it. A trigger holds
// statements of its own: only a semicolon, END and a semicolon end it.
export const START = 0;
export const NORMAL = 1;
export const EXPLAIN = 2;
export const CREATE = 3;
export const TRIGGER = 4;
export const TRIGGER_SEMICOLON = 5;
export const TRIGGER_END = 6;

export const NUL = 0;
export const LINE_FEED = 10;
export const PARENTHESIS = 40;
export const CLOSING = 41;
export const SEMICOLON = 59;
export const CLOSERS: readonly number[] = [0, 0, 39, 34, 96, 93];
export const OPENERS: ReadonlyMap<number, number> = new Map([
  [39, SINGLE],
  [34, DOUBLE],
  [96, BACKTICK],
  [91, BRACKET],
  [45, DASH],
  [47, SLASH],
]);

/** 1 for the bytes that matter amid a statement, where words don't. */
export const MATTERS = new Uint8Array(256);
for (const byte of [NUL, LINE_FEED, PARENTHESIS, SEMICOLON, ...OPENERS.keys()]) MATTERS[byte] = 1;

/** What stands before the values in an `INSERT` that is only a list of values. */
export const INSERT =
  /^insert\s+into\s+(?:[\w$\x80-\xff]+|"(?:[^"]|"")*"|'(?:[^']|'')*')\s*(?:\([^()]*\)\s*)?values\s*$/i;

/** 1 for the bytes that a word is made of. */
export const IN_WORD = new Uint8Array(256);
for (let byte = 0; byte < 256; byte++) {
  if (byte >= 0x80 || /[\w$]/.test(String.fromCharCode(byte))) IN_WORD[byte] = 1;
}

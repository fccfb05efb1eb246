/** Marks text with colour or weight, or returns it as it is. */
export type Paint = (text: string) => string;

/** What a terminal can make of a text. */
export interface Style {
  /** Heavier. */
  readonly bold: Paint;
  /** Fainter. */
  readonly dim: Paint;
  /** Something is wrong. */
  readonly red: Paint;
  /** All is well. */
  readonly green: Paint;
  /** Something needs attention. */
  readonly yellow: Paint;
}

/** What decides about colour; see {@link wantsColor}. */
export interface ColorWish {
  /** Whether `--no-color` was given. Default `false`. */
  readonly noColorFlag?: boolean;
  /** The stream that the text goes to. */
  readonly stream: { readonly isTerminal: () => boolean };
}

/** Tells whether text for a stream may be coloured: a terminal, no `--no-color`, no `NO_COLOR`. */
export function wantsColor({ noColorFlag = false, stream }: ColorWish): boolean {
  return !noColorFlag && !Deno.noColor && stream.isTerminal();
}

/** Makes a {@link Style}; one that is not enabled returns every text unchanged. */
export function createStyle(enabled: boolean): Style {
  const paint = (on: number, off: number): Paint => (text) =>
    // An empty text stays empty, so that a table's trailing spaces can be cut off.
    enabled && text !== "" ? `\x1b[${on}m${text}\x1b[${off}m` : text;
  return {
    bold: paint(1, 22),
    dim: paint(2, 22),
    red: paint(31, 39),
    green: paint(32, 39),
    yellow: paint(33, 39),
  };
}

/**
 * What all charts have in common: the chart library, the two sizes, axes, and values on hover. Only this
 * file imports the library.
 *
 * @module
 */
import * as Plot from "npm:@observablehq/plot@^0.6.17";
import { parseHTML } from "npm:linkedom@^0.18.12";
import type { Chart } from "./page.ts";

export { Plot };

/** The document that the chart library builds its elements in. */
const { document } = parseHTML("<!doctype html><html><body></body></html>") as unknown as {
  readonly document: NonNullable<Plot.PlotOptions["document"]>;
};

const NARROW = 340;
const HALF = 540;
const FULL = 960;

/** What a chart is drawn from; the size is added for each of its two sizes. */
export interface Drawing {
  readonly id: string;
  readonly title: string;
  readonly description: string;
  readonly isWide?: boolean;
  readonly legend?: Chart["legend"];
  /** Height of the wide and the narrow drawing. */
  readonly heights?: readonly [number, number];
  readonly options: (
    size: { readonly width: number; readonly isNarrow: boolean },
  ) => Plot.PlotOptions;
}

/** Draws a chart in both sizes. */
export function draw(drawing: Drawing): Chart {
  const { isWide = false, legend = [], options } = drawing;
  const [tall, short] = drawing.heights ?? [isWide ? 280 : 260, 220];
  const svg = (width: number, height: number): string => {
    const element = Plot.plot({
      document,
      width,
      height,
      marginLeft: 64,
      marginRight: 16,
      marginBottom: 40,
      marginTop: 28,
      color: { type: "identity" },
      style: { fontSize: "12px", fontFamily: "inherit", background: "none", overflow: "visible" },
      ...options({ width, isNarrow: width === NARROW }),
    });
    // The library's own style sheet is not needed: the page has one.
    for (const style of element.querySelectorAll("style")) style.remove();
    element.removeAttribute("class");
    return element.outerHTML;
  };
  return {
    id: drawing.id,
    title: drawing.title,
    description: drawing.description,
    isWide,
    legend,
    wide: svg(isWide ? FULL : HALF, tall),
    narrow: svg(NARROW, short),
  };
}

/** At most `most` of the items, evenly chosen, always with the last. */
export function thin<T>(items: readonly T[], most: number): readonly T[] {
  const step = Math.ceil(items.length / most);
  return step <= 1 ? items : items.filter((_, at) => (items.length - 1 - at) % step === 0);
}

/** Moment of something, for a scale. */
export const date = ({ time }: { readonly time: number }): Date => new Date(time * 1000);

/** A scale of days. */
export function timeAxis(width: number): Plot.ScaleOptions {
  return {
    type: "utc",
    label: "Date (UTC)",
    labelArrow: "none",
    labelAnchor: "center",
    labelOffset: 50, // below the year, which stands below the first month
    ticks: Math.round(width / 110),
  };
}

/** A scale of values without lines, about one tick for every 90 pixels. */
export function plainAxis(label: string, width: number): Plot.ScaleOptions {
  return { label, labelArrow: "none", ticks: Math.round(width / 90), tickFormat: tick };
}

/** A scale of values, with lines across the chart. */
export function valueAxis(label: string, more: Plot.ScaleOptions = {}): Plot.ScaleOptions {
  return { label, labelArrow: "none", grid: true, ticks: 5, ...more };
}

/** The line at zero of a scale. */
export const zeroLine = { stroke: "currentColor", strokeOpacity: 0.5 };

/** Colour of a value: losses differ from profits. */
export const colorOfSign = (value: number): string => value < 0 ? "var(--c2)" : "var(--c1)";

/** Invisible strips that show a value when the pointer is over them. */
export function hover<T extends { readonly time: number }>(
  items: readonly T[],
  { width, text }: { readonly width: number; readonly text: (item: T) => string },
): Plot.Markish {
  const strips = thin(items, Math.round(width / 5));
  return Plot.ruleX(strips, {
    x: date,
    title: text,
    stroke: "transparent",
    strokeWidth: Math.max(2, width / Math.max(1, strips.length)),
    className: "hover",
  });
}

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** Short text for an axis: 12,000 is `12K`. */
export function tick(value: number): string {
  return compact.format(value);
}

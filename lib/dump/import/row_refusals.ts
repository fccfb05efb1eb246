import { DumpError } from "../../base/errors.ts";
import type { BadRow } from "./row_parser.ts";
import type { ImportRowsOptions } from "../import_rows.ts";

/** Bad rows that an error tells of; there the import ends. */
const MOST_BAD = 10;

/** What becomes of the rows that can't be imported. */
export class BadRows {
  readonly #options: ImportRowsOptions;
  readonly #kept: BadRow[] = [];
  /** Number of rows that somebody took. */
  skipped = 0;

  constructor(options: ImportRowsOptions) {
    this.#options = options;
  }

  /** Takes one; throws where nobody else does and there are too many. */
  async take(bad: BadRow): Promise<void> {
    const { onBadRow } = this.#options;
    if (onBadRow !== undefined) {
      this.skipped++;
      return await onBadRow(bad);
    }
    this.#kept.push(bad);
    if (this.#kept.length >= MOST_BAD) this.check();
  }

  /** Throws where there were any and nobody took them. */
  check(): void {
    const [first, ...others] = this.#kept;
    if (first === undefined) return;
    const { label = "the input", database, table } = this.#options;
    const more = others.map(({ line, reason }) => `line ${line}: ${reason}`);
    throw new DumpError(
      `Cannot import ${label} into table "${table}": line ${first.line}: ${first.reason}`,
      {
        database,
        line: first.line,
        help: [
          ...more,
          ...this.#kept.length < MOST_BAD ? [] : ["there it was stopped; more may be wrong"],
          "nothing was imported; mend the file, or import the other rows and have these written " +
          "aside with --skip-bad-rows FILE",
        ].join("\n"),
      },
    );
  }
}

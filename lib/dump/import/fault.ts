import { DumpError } from "../../base/errors.ts";

/** What is wrong with a dump, and where. */
export interface FaultPlace {
  /** Line on which it is; the first is 1. */
  readonly line?: number | undefined;
  /** The statement, or its beginning where it is long. */
  readonly statement?: string | undefined;
  /** What to do about it. */
  readonly help?: string | undefined;
  readonly cause?: unknown;
}

/** Something is wrong with a dump; what it is called is known further up. */
export class DumpFault extends Error {
  readonly place: FaultPlace;

  constructor(reason: string, place: FaultPlace = {}) {
    super(reason);
    this.name = "DumpFault";
    this.place = place;
  }
}

/** Characters of a statement that a message shows. */
const SHOWN = 60;

/** Characters of a statement that an error carries. */
const CARRIED = 10_000;

/** Says what a person has to know: which dump, which line, why, which statement. */
export function toDumpError(fault: DumpFault, label: string): DumpError {
  const { line, statement, help, cause } = fault.place;
  const where = line === undefined ? "" : `line ${line}: `;
  const what = statement === undefined ? "" : ` (${beginningOf(statement)})`;
  return new DumpError(`Cannot import ${label}: ${where}${fault.message}${what}`, {
    cause: cause ?? fault,
    help: `${help === undefined ? "" : `${help}; `}nothing was changed`,
    ...(line === undefined ? {} : { line }),
    ...(statement === undefined ? {} : { statement: statement.slice(0, CARRIED) }),
  });
}

function beginningOf(statement: string): string {
  const text = statement.slice(0, 4 * SHOWN).replace(/\s+/g, " ").trim();
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}...` : text;
}

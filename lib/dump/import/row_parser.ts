import type { SqlValue } from "../../database/connection.ts";
import type { TargetColumn } from "../import_target.ts";

/** A row that is to be put into the table. */
export interface GoodRow {
  /** Line on which it begins; the first is 1. */
  readonly line: number;
  /** The row as it stands in the file. */
  readonly text: string;
  /** Where its values go; the same array for all rows of the same columns. */
  readonly columns: readonly TargetColumn[];
  readonly values: readonly SqlValue[];
}

/** A row that can't be put into the table. */
export interface BadRow {
  /** Line on which it begins; the first is 1. */
  readonly line: number;
  /** Why it can't. */
  readonly reason: string;
  /** The row as it stands in the file. */
  readonly text: string;
  /** The header of a CSV file as it stands there, so that bad rows can make a file; else null. */
  readonly header: string | null;
}

/** A row of the file, good or bad. */
export type ParsedRow = GoodRow | BadRow;

/** Makes rows of text, which is given in pieces of any size. */
export interface RowParser {
  /** The header of a CSV file, once it is there. */
  readonly header: string | null;
  /** Line on which the text given so far ends. */
  readonly line: number;
  push(text: string): ParsedRow[];
  end(): ParsedRow[];
}

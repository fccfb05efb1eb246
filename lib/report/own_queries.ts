/**
 * Queries that users keep in files, one each: `queries/*.sql`.
 *
 * @module
 */
import { QueryFileError } from "../base/errors.ts";
import { mayRead, refuseSpecialFile } from "../base/paths.ts";
import type { SqlValue } from "../database/connection.ts";
import { bundledQueries, type NamedQuery } from "./queries.ts";

/** Directory of the users' own queries. */
export const QUERIES_DIRECTORY = "queries";

/** Named queries that are known, and what is wrong with files that should have some. */
export interface KnownQueries {
  /** The bundled queries, then the users' own by name; one of their own replaces a bundled one. */
  readonly queries: readonly NamedQuery[];
  /** Files that could not be read as a query, by the name that they would have. */
  readonly faults: ReadonlyMap<string, QueryFileError>;
}

/** Finds all named queries. A directory that does not exist, or may not be read, has none. */
export async function findQueries(directory: string = QUERIES_DIRECTORY): Promise<KnownQueries> {
  const own: NamedQuery[] = [];
  const faults = new Map<string, QueryFileError>();
  for (const name of await namesIn(directory)) {
    const file = `${directory}/${name}.sql`;
    try {
      refuseSpecialFile(file, { cannot: "read" });
      const found = parseQuery(name, await Deno.readTextFile(file));
      if ("reason" in found) faults.set(name, faultOf(file, found));
      else own.push({ ...found, file });
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      faults.set(name, faultOf(file, { line: 0, reason: error.message, cause: error }));
    }
  }
  const isReplaced = ({ name }: NamedQuery): boolean => own.some((one) => one.name === name);
  return { queries: [...bundledQueries.filter((one) => !isReplaced(one)), ...own], faults };
}

async function namesIn(directory: string): Promise<string[]> {
  if (!mayRead(directory)) return [];
  try {
    const entries = await Array.fromAsync(Deno.readDir(directory));
    return entries.flatMap(({ name, isDirectory }) =>
      isDirectory ? [] : /^(.+)\.sql$/i.exec(name)?.[1] ?? []
    ).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return [];
    }
    throw error;
  }
}

function faultOf(
  file: string,
  { line, reason, cause }: QueryTextFault & { readonly cause?: Error },
): QueryFileError {
  return new QueryFileError(`Cannot use ${file}${line === 0 ? "" : `:${line}`}: ${reason}`, {
    path: file,
    help: "a query file begins with `-- database: NAME`; `-- about: TEXT` and " +
      "`-- param: NAME = VALUE` may follow, then one SELECT",
    ...(line === 0 ? {} : { line }),
    ...(cause === undefined ? {} : { cause }),
  });
}

/**
 * A parameter's value as it is bound: a number if the text is written as one, such as `10` or `0.5`, else
 * the text. `007` and `1e3` stay text, since a number would be written differently.
 */
export function parameterValue(text: string): SqlValue {
  if (!/^-?\d+(\.\d+)?$/.test(text)) return text;
  if (/^-?\d+$/.test(text)) {
    const whole = BigInt(text);
    if (String(whole) !== text || BigInt.asIntN(64, whole) !== whole) return text;
    return Number.isSafeInteger(Number(whole)) ? Number(whole) : whole;
  }
  return /^-?(0|[1-9]\d*)\./.test(text) ? Number(text) : text;
}

/** What is wrong with the text of a query, and on which line; the first is 1. */
export interface QueryTextFault {
  readonly line: number;
  readonly reason: string;
}

/**
 * Reads the text of a query file. Comments at its beginning say `-- database: NAME` (required),
 * `-- about: TEXT` and, for each default value of a parameter, `-- param: NAME = VALUE`.
 */
export function parseQuery(
  name: string,
  text: string,
): Omit<NamedQuery, "file"> | QueryTextFault {
  const found = new Map<string, string>();
  const defaults: Record<string, string> = {};
  for (const [at, line] of text.replace(/^\ufeff/, "").split(/\r?\n/).entries()) {
    if (line.trim() === "") continue;
    if (!line.startsWith("--")) break;
    const [, key, value = ""] = /^--\s*(database|about|param)\s*:\s*(.*?)\s*$/i.exec(line) ?? [];
    if (key === undefined) continue;
    if (key.toLowerCase() === "param") {
      const [, parameter, standard] = /^[:@$]?(\w+)(?:\s*=\s*(.*))?$/.exec(value) ?? [];
      if (parameter === undefined) {
        return { line: at + 1, reason: "expected `-- param: NAME = VALUE`" };
      }
      if (standard !== undefined) defaults[parameter] = standard;
      continue;
    }
    if (value === "") return { line: at + 1, reason: `\`-- ${key}:\` has no value` };
    if (found.has(key.toLowerCase())) {
      return { line: at + 1, reason: `\`-- ${key}:\` is given twice` };
    }
    found.set(key.toLowerCase(), value);
  }
  const database = found.get("database");
  if (database === undefined) {
    return { line: 1, reason: "no line `-- database: NAME` says which database it reads" };
  }
  return { name, database, about: found.get("about") ?? "", sql: text, defaults };
}

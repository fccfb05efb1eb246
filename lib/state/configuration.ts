import { AccessError, ConfigurationError } from "../base/errors.ts";
import { loadPackage } from "../base/package.ts";
import { isAbsolute, refuseSpecialFile } from "../base/paths.ts";
import { isLibsqlAddress } from "../database/location.ts";
import { didYouMean } from "../base/format.ts";

/** Content of `catalyst.json`. Paths are as written. */
export interface Configuration {
  /** Path of the file. */
  readonly path: string;
  /**
   * Databases by name: a path relative to the data directory, an absolute path, or the address of a
   * database on a server.
   */
  readonly databases: Readonly<Record<string, string>>;
  /** Whether to add the three bundled databases. Default `true`. */
  readonly bundled: boolean;
  /** Address of the ledger, if it is on a server. */
  readonly ledger?: string;
  /** Directory of the databases. */
  readonly dataDir?: string;
  /** Directory of the user's own migrations. */
  readonly migrationsDir?: string;
  /** Directory of the snapshots. */
  readonly backupDir?: string;
  /** Which snapshots `backup prune` keeps without flags. */
  readonly keep?: Retained;
  /** Seconds to wait for a lock. */
  readonly timeout?: number;
}

/** How many snapshots to keep. */
export type Retained = Readonly<Partial<Record<(typeof RETAINED)[number], number>>>;

const RETAINED = ["last", "daily", "weekly", "monthly"] as const;

/** The name of the ledger among databases; no database may have it. */
const LEDGER_NAME = "migrations";

/** A mistake: its position, as keys from the top, and what was expected. */
interface Mistake {
  readonly at: readonly string[];
  /** Whether the key rather than its value is wrong. */
  readonly isKey?: boolean;
  readonly detail: string;
}

/**
 * Reads a configuration file: JSON, or JSON with comments and trailing commas.
 *
 * @throws {AccessError} if it cannot be read.
 * @throws {ConfigurationError} if it is invalid; the error names every mistake with its line.
 */
export async function readConfiguration(path: string): Promise<Configuration> {
  refuseSpecialFile(path, { cannot: "read the configuration" });
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    const isMissing = error instanceof Deno.errors.NotFound;
    const reason = isMissing
      ? "file not found"
      : error instanceof Deno.errors.NotCapable
      ? "Deno may not read it"
      : error instanceof Error
      ? error.message
      : String(error);
    throw new AccessError(`Cannot read the configuration ${path}: ${reason}`, {
      cause: error,
      help: isMissing
        ? "check --config and CATALYST_CONFIG; `catalyst-migrate init` writes a configuration"
        : `run with --allow-read=${path}`,
    });
  }
  return await parseConfiguration(text, path);
}

/**
 * Parses the text of a configuration file.
 *
 * @throws {ConfigurationError} if it is invalid.
 */
export async function parseConfiguration(source: string, path: string): Promise<Configuration> {
  const text = source.replace(/^\uFEFF/, "");
  try {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      value = await parseWithComments(text, path);
    }
    refuseRepeatedKey(text, path);
    const mistakes: Mistake[] = [];
    const configuration = check(value, path, (mistake) => mistakes.push(mistake));
    if (mistakes.length > 0) throw await wrong(text, path, mistakes);
    return configuration;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new ConfigurationError(
      `Cannot use ${path}: its objects and lists are nested too deeply`,
      {
        cause: error, // the stack overflowed
        path,
        help: CORRECT,
      },
    );
  }
}

const CORRECT = "correct the file; docs/other-databases.md describes its keys";

const TOKEN = /\/\/.*|\/\*[^]*?\*\/|"(?:[^"\\]|\\.)*"|[{}:]/g;

/** Refuses valid JSON in which an object has a key twice: parsers silently ignore the first one. */
function refuseRepeatedKey(text: string, path: string): void {
  const objects: Set<string>[] = [];
  let last = { token: '""', index: 0 };
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    if (token === "{") objects.push(new Set());
    else if (token === "}") objects.pop();
    else if (token.startsWith('"')) last = { token, index };
    else if (token === ":") {
      const key: string = JSON.parse(last.token);
      if (objects.at(-1)?.has(key)) {
        const { line, column } = placeAt(text, last.index);
        throw new ConfigurationError(
          `Cannot use ${path}:${line}:${column}: the key "${key}" occurs twice`,
          { path, line, column, help: "remove one of them" },
        );
      }
      objects.at(-1)?.add(key);
    }
  }
}

/** The valid values of each key. */
const KEYS: Readonly<Record<string, string>> = {
  $schema: "a string",
  databases: "an object of names and paths",
  bundled: "true or false",
  ledger: "the address of a database on a libSQL server",
  dataDir: "a path",
  migrationsDir: "a path",
  backupDir: "a path",
  keep: 'an object such as { "last": 14 }',
  timeout: "a number of seconds, 0 or more",
};

function check(value: unknown, path: string, report: (mistake: Mistake) => void): Configuration {
  if (!isObject(value)) {
    report({ at: [], detail: `expected an object such as { "databases": {} }` });
    return { path, databases: {}, bundled: true };
  }
  for (const key of Object.keys(value)) {
    if (Object.hasOwn(KEYS, key)) continue;
    const hint = didYouMean(key, Object.keys(KEYS));
    report({
      at: [key],
      isKey: true,
      detail: `unknown key "${key}"; ${hint}expected one of ${Object.keys(KEYS).join(", ")}`,
    });
  }
  const expected = (key: string, isRight: (found: unknown) => boolean): unknown => {
    const found = value[key];
    if (found === undefined || isRight(found)) return found;
    report({ at: [key], detail: `"${key}": expected ${KEYS[key]}, found ${show(found)}` });
    return undefined;
  };
  const directory = (key: string): string | undefined => {
    const found = expected(key, isPath);
    return typeof found === "string" ? found : undefined;
  };
  expected("$schema", (found) => typeof found === "string");
  const bundled = expected("bundled", (found) => typeof found === "boolean") !== false;
  const named = expected("databases", isObject);
  const retained = expected("keep", isObject);
  const timeout = expected(
    "timeout",
    (found) => typeof found === "number" && found >= 0 && Number.isFinite(found),
  );
  if (!bundled && Object.keys(isObject(named) ? named : {}).length === 0) {
    report({ at: ["bundled"], detail: '"bundled" is false: expected "databases" to name some' });
  }
  const ledger = expected("ledger", (found) => typeof found === "string" && isLibsqlAddress(found));
  const [dataDir, migrationsDir, backupDir] = ["dataDir", "migrationsDir", "backupDir"].map(
    directory,
  );
  return {
    path,
    bundled,
    databases: isObject(named) ? checkDatabases(named, report) : {},
    ...(typeof ledger === "string" ? { ledger } : {}),
    ...(dataDir === undefined ? {} : { dataDir }),
    ...(migrationsDir === undefined ? {} : { migrationsDir }),
    ...(backupDir === undefined ? {} : { backupDir }),
    ...(isObject(retained) ? { keep: checkRetained(retained, report) } : {}),
    ...(typeof timeout === "number" ? { timeout } : {}),
  };
}

function checkDatabases(
  named: Readonly<Record<string, unknown>>,
  report: (mistake: Mistake) => void,
): Record<string, string> {
  const databases: Record<string, string> = {};
  const names = new Map<string, string>();
  for (const [name, place] of Object.entries(named)) {
    const at = ["databases", name];
    const other = names.get(name.toLowerCase());
    if (!/^[A-Za-z][A-Za-z0-9_]{0,63}$/.test(name)) {
      const detail =
        `database name "${name}": expected a letter, then letters, digits or "_", 64 at most`;
      report({ at, isKey: true, detail });
    } else if (name.toLowerCase() === LEDGER_NAME) {
      report({
        at,
        isKey: true,
        detail: `database name "${name}": this name is reserved for the ledger`,
      });
    } else if (other !== undefined) {
      const detail = `database name "${name}": it differs from "${other}" only in case`;
      report({ at, isKey: true, detail });
    } else if (!isPath(place)) {
      report({
        at,
        detail: `"${name}": expected the path of a database file, found ${show(place)}`,
      });
    } else {
      databases[name] = place;
    }
    names.set(name.toLowerCase(), name);
  }
  return databases;
}

function checkRetained(
  retained: Readonly<Record<string, unknown>>,
  report: (mistake: Mistake) => void,
): Retained {
  const keep: Partial<Record<(typeof RETAINED)[number], number>> = {};
  for (const [key, count] of Object.entries(retained)) {
    const known = RETAINED.find((one) => one === key);
    const at = ["keep", key];
    if (known === undefined) {
      const hint = didYouMean(key, RETAINED);
      const detail = `unknown key "${key}"; ${hint}expected one of ${RETAINED.join(", ")}`;
      report({ at, isKey: true, detail });
    } else if (typeof count !== "number" || !Number.isSafeInteger(count) || count < 0) {
      report({ at, detail: `"${key}": expected a whole number, 0 or more, found ${show(count)}` });
    } else keep[known] = count;
  }
  return keep;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isPath(value: unknown): value is string {
  return typeof value === "string" && value !== "" && !value.includes("\0") &&
    value !== ":memory:" && value.isWellFormed();
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 40 ? `${text.slice(0, 37)}...` : text;
}

type Parser = typeof import("npm:jsonc-parser@3.3.1");

/** A parser with support for comments and positions; loaded only if a file is not plain JSON. */
async function loadParser(): Promise<Parser> {
  return await loadPackage<Parser>("npm:jsonc-parser@3.3.1");
}

async function parseWithComments(text: string, path: string): Promise<unknown> {
  const { parse, printParseErrorCode } = await loadParser();
  const errors: NonNullable<Parameters<Parser["parse"]>[1]> = [];
  const value: unknown = parse(text, errors, { allowTrailingComma: true });
  const [first] = errors;
  if (first === undefined) return value;
  const { line, column } = placeAt(text, first.offset);
  const what = printParseErrorCode(first.error).replace(/(?<=[a-z])(?=[A-Z])/g, " ").toLowerCase();
  throw new ConfigurationError(`Cannot read ${path}:${line}:${column}: not valid JSON (${what})`, {
    path,
    line,
    column,
    help: "correct the file; JSON with comments is allowed",
  });
}

/** The text of a configuration file with other databases, and with its comments and other keys. */
export async function withDatabases(
  text: string,
  { databases, dataDir }: Pick<Configuration, "databases" | "dataDir">,
): Promise<string> {
  const changes = { ...(dataDir === undefined ? {} : { dataDir }), databases };
  let plain: unknown;
  try {
    plain = JSON.parse(text);
  } catch {
    const { applyEdits, modify, parse } = await loadParser();
    const former: unknown = parse(text)?.databases;
    const named = isObject(former) ? former : {};
    const paths = [
      ...(dataDir === undefined ? [] : [{ at: ["dataDir"], value: dataDir }]),
      ...Object.entries(databases).filter(([name, path]) => named[name] !== path)
        .map(([name, value]) => ({ at: ["databases", name], value })),
    ];
    const formattingOptions = { insertSpaces: true, tabSize: 2 };
    return paths.reduce(
      (edited, { at, value }) =>
        applyEdits(edited, modify(edited, at, value, { formattingOptions })),
      text,
    );
  }
  return `${JSON.stringify({ ...(isObject(plain) ? plain : {}), ...changes }, null, 2)}\n`;
}

async function wrong(
  text: string,
  path: string,
  mistakes: readonly Mistake[],
): Promise<ConfigurationError> {
  const { findNodeAtLocation, parseTree } = await loadParser();
  const tree = parseTree(text, undefined, { allowTrailingComma: true });
  const placed = mistakes.map(({ at, isKey = false, detail }) => {
    const node = tree === undefined ? undefined : findNodeAtLocation(tree, [...at]);
    // The node of a property contains the key and the value.
    const offset = (isKey ? node?.parent?.children?.[0]?.offset : node?.offset) ?? 0;
    return { ...placeAt(text, offset), detail };
  }).toSorted((a, b) => a.line - b.line || a.column - b.column);
  const first = placed[0] ?? { line: 1, column: 1, detail: "expected an object" };
  return new ConfigurationError(
    `Cannot use ${path}:${first.line}:${first.column}: ${first.detail}`,
    {
      path,
      line: first.line,
      column: first.column,
      details: placed.slice(1).map(({ line, column, detail }) =>
        `${path}:${line}:${column}: ${detail}`
      ),
      help: CORRECT,
    },
  );
}

function placeAt(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset).split("\n");
  return { line: before.length, column: [...before.at(-1) ?? ""].length + 1 };
}

/** Where the database files are. */
export interface Placement {
  /** Prefix of each relative path, such as `data/` or `test_`. */
  readonly prefix: string;
  /** Whether all databases must be under the prefix, as with DB_PATH_PREFIX or several directories. */
  readonly isIsolated: boolean;
}

/**
 * The files of the databases by name: the bundled ones, then those of the configuration in its order.
 *
 * @throws {ConfigurationError} if an absolute path is outside the prefix, or two names have the same file.
 */
export function databaseFiles(
  { databases, ledger, path }: Pick<Configuration, "databases" | "ledger" | "path">,
  bundled: readonly string[],
  { prefix, isIsolated }: Placement,
): Record<string, string> {
  const files: Record<string, string> = {};
  const names = new Map([[`${prefix}${LEDGER_NAME}.db`, "the ledger"]]);
  const refuse = (reason: string, help: string): never => {
    throw new ConfigurationError(`Cannot use ${path}: ${reason}`, { path, help });
  };
  const refuseServer = (what: string): never =>
    refuse(
      `${what} is on a server, so DB_PATH_PREFIX and --data-dir cannot isolate it`,
      "use another configuration with --config or CATALYST_CONFIG",
    );
  if (ledger !== undefined && isIsolated) refuseServer("the ledger");
  for (const name of new Set([...bundled, ...Object.keys(databases)])) {
    const place = databases[name] ?? `${name}.db`;
    const isServer = isLibsqlAddress(place);
    if (isServer && isIsolated) refuseServer(`"${name}"`);
    if (isAbsolute(place) && isIsolated) {
      refuse(
        `the path of "${name}" is absolute, so DB_PATH_PREFIX and --data-dir cannot isolate it`,
        "write it relative to the data directory",
      );
    }
    const file = isAbsolute(place) || isServer ? place : simplified(`${prefix}${place}`);
    const other = names.get(file);
    if (other !== undefined) {
      refuse(
        `"${name}" and ${other} have the same file ${file}`,
        "give each database a separate file",
      );
    }
    names.set(file, `"${name}"`);
    files[name] = file;
  }
  return files;
}

/** A path without `./` and empty parts, so that different spellings of a file compare equal. */
function simplified(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "." || (part === "" && parts.length > 0)) continue;
    if (part === ".." && parts.length > 0 && !["..", ""].includes(parts.at(-1) ?? "")) parts.pop();
    else parts.push(part);
  }
  return parts.join("/");
}

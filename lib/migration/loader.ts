import {
  type AccessError,
  CatalystError,
  LocationError,
  MigrationFileError,
} from "../base/errors.ts";
import { excerpt, placeOf } from "../base/excerpt.ts";
import { accessError, specialKind } from "../base/paths.ts";
import { parseMigrationFile } from "./file.ts";
import {
  compareIds,
  isNearlyMigration,
  type Migration,
  parseFileName,
  sortById,
} from "./migration.ts";

/** Options for reading a directory of migrations. */
export interface LoadMigrationsOptions {
  /** Names of the known databases. A migration for another one is refused. Default: any name. */
  readonly databases?: readonly string[];
  /** Names of migrations that are already known; files with these names are skipped. */
  readonly except?: readonly string[];
  /** Seconds to wait for the import of a module. Default 10. */
  readonly timeout?: number;
}

/** A migration file that has not been read yet. */
interface MigrationFile {
  /** The number at the start of its name. */
  readonly id: string;
  /** Its name without the extension. */
  readonly name: string;
  readonly kind: "sql" | "ts" | "js";
  readonly path: string;
}

const DESCRIPTION = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;

/**
 * Reads and checks every migration in a directory, lowest number first. Each file is read only once, so
 * the checked text is what runs. Ignores other files and subdirectories; {@link listMisnamed} finds
 * misnamed migrations.
 *
 * @throws {LocationError | AccessError} if the directory is missing or unreadable.
 * @throws {MigrationFileError} if a file is not a valid migration, or two have the same number.
 */
export async function readMigrations(
  directory: string,
  options: LoadMigrationsOptions = {},
): Promise<Migration[]> {
  return await read(directory, options, throwIt);
}

/** The migrations in a directory. */
export interface UsableMigrations {
  /** The valid migrations, lowest number first. */
  readonly migrations: readonly Migration[];
  /** The errors of the others, or of the directory. */
  readonly unusable: readonly CatalystError[];
}

/** Reads the valid migrations in a directory, and returns the errors of the others. */
export async function readUsableMigrations(
  directory: string,
  options: LoadMigrationsOptions = {},
): Promise<UsableMigrations> {
  const unusable: CatalystError[] = [];
  const add = (error: unknown) => {
    if (!(error instanceof CatalystError)) throw error;
    unusable.push(error);
  };
  try {
    return { migrations: await read(directory, options, add), unusable };
  } catch (error) {
    add(error);
    return { migrations: [], unusable };
  }
}

function throwIt(error: unknown): never {
  throw error;
}

async function read(
  directory: string,
  options: LoadMigrationsOptions,
  onFault: (error: unknown) => void,
): Promise<Migration[]> {
  const files = listMigrationFiles(directory, options.except, onFault);
  const migrations: Migration[] = [];
  const { databases, timeout } = options;
  for (const file of files) {
    if (file.kind !== "sql") continue;
    try {
      migrations.push(parseMigrationFile(readSql(file), { ...file, databases }));
    } catch (error) {
      onFault(error);
    }
  }
  // After the SQL files, because importing a module runs its code.
  const sources = files.filter(({ kind }) => kind !== "sql");
  if (sources.length === 0) return migrations;
  const { loadMigrationModule } = await import("./module.ts");
  const loaded = sources.map((file) => loadMigrationModule({ ...file, databases, timeout }));
  for (const outcome of await Promise.allSettled(loaded)) {
    if (outcome.status === "rejected") onFault(outcome.reason);
    else migrations.push(outcome.value);
  }
  return sortById(migrations);
}

/**
 * Lists the files in a directory whose names are those of migrations, lowest number first. If `onFault`
 * is given and returns, invalid files are left out.
 *
 * @throws {LocationError | AccessError} if the directory is missing or unreadable.
 * @throws {MigrationFileError} if two have the same number, or a name contains invalid characters.
 */
export function listMigrationFiles(
  directory: string,
  except: readonly string[] = [],
  onFault: (error: unknown) => void = throwIt,
): MigrationFile[] {
  const base = directory.replace(/(?<=[^/\\])[/\\]+$/, "");
  const files: MigrationFile[] = [];
  for (const entry of entriesOf(directory)) {
    const parsed = parseFileName(entry.name);
    if (parsed === null) continue;
    const { id, description, kind } = parsed;
    const name = `${id}_${description}`;
    const path = `${base}/${entry.name}`;
    if (except.includes(name)) continue;
    try {
      if (!DESCRIPTION.test(description)) throw misnamed(path, id);
      if (!entry.isFile) refuseSpecial(path, name);
      files.push({ id, name, kind, path });
    } catch (error) {
      onFault(error);
    }
  }
  // By path first, so that an error names two with the same number always in the same order.
  const sorted = sortById(files.sort((a, b) => a.path < b.path ? -1 : 1));
  const doubles = new Set<MigrationFile>();
  for (const [index, file] of sorted.entries()) {
    const previous = sorted[index - 1];
    if (previous === undefined || compareIds(previous.id, file.id) !== 0) continue;
    onFault(
      new MigrationFileError(
        `Cannot use ${previous.path} and ${file.path}: they have the same number`,
        { help: "give one of them the next free number", path: file.path, migration: file.name },
      ),
    );
    doubles.add(previous).add(file);
  }
  return sorted.filter((file) => !doubles.has(file));
}

/**
 * Names of the files in a directory that look like misnamed migrations.
 *
 * @throws {LocationError | AccessError} if the directory is missing or unreadable.
 */
export function listMisnamed(directory: string): string[] {
  return entriesOf(directory).filter(({ isDirectory, name }) =>
    !isDirectory && isNearlyMigration(name)
  ).map(({ name }) => name).toSorted();
}

function misnamed(path: string, id: string): MigrationFileError {
  return new MigrationFileError(
    `Cannot use ${path}: its name may contain only letters, digits, "_", "-" and "." after the number`,
    { help: `name it like ${id}_add_notes.sql`, path },
  );
}

function entriesOf(directory: string): Deno.DirEntry[] {
  try {
    return [...Deno.readDirSync(directory)];
  } catch (error) {
    const help = "name another directory with --migrations-dir, or create it with `new`";
    if (error instanceof Deno.errors.NotFound) {
      throw new LocationError(
        `Cannot read the migrations in ${directory}: the directory does not exist`,
        { cause: error, help },
      );
    }
    if (error instanceof Deno.errors.NotADirectory) {
      throw new LocationError(`Cannot read the migrations in ${directory}: it is a file`, {
        cause: error,
        help: "name the directory that contains the migrations",
      });
    }
    throw unreadable(`the migrations in ${directory}`, error);
  }
}

/** A message about the files that {@link listMisnamed} finds; null if there are none. */
export function describeMisnamed(directory: string): string | null {
  const names = listMisnamed(directory);
  if (names.length === 0) return null;
  const shown = names.slice(0, 3).join(", ");
  const more = names.length > 3 ? ` and ${names.length - 3} more` : "";
  const is = names.length === 1 ? "is" : "are";
  return `${shown}${more} in ${directory} ${is} not used: name a migration like 004_add_notes.sql`;
}

/** Refuses a pipe or device, because reading it would never end. A link may lead to an ordinary file. */
function refuseSpecial(path: string, name: string): void {
  let kind: string | null;
  try {
    kind = specialKind(Deno.statSync(path));
  } catch {
    return; // reading it reports the error
  }
  if (kind === null) return;
  throw new MigrationFileError(`Cannot use ${path}: it is ${kind}, not a file`, {
    help: "replace it with a file, or move it away",
    ...{ path, migration: name },
  });
}

function unreadable(what: string, error: unknown): AccessError {
  return accessError(`Cannot read ${what}`, error, {
    help: "check that it exists and that this user may read it",
    permission: "run with --allow-read=DIRECTORY",
  });
}

/** Text of a file. Invalid bytes become U+FFFD, which triggers a closer check. */
function readSql({ path, name }: MigrationFile): string {
  try {
    const text = Deno.readTextFileSync(path);
    if (!/[\uFFFD\0]/.test(text)) return text;
    const bytes = Deno.readFileSync(path);
    refuseOtherEncoding(bytes, { path, name });
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw error instanceof MigrationFileError ? error : unreadable(path, error);
  }
}

function refuseOtherEncoding(
  bytes: Uint8Array,
  { path, name }: { readonly path: string; readonly name: string },
): void {
  const fail = (at: number, reason: string, help: string): never => {
    const before = new TextDecoder().decode(bytes.subarray(0, at));
    const line = new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(10, at) >>> 0));
    const { line: number, column } = placeOf(line, before.length);
    throw new MigrationFileError(`Cannot use ${path}:${number}:${column}: ${reason}`, {
      help: `${help}\n${excerpt(line, { at: before.length })}`,
      ...{ path, line: number, column, migration: name },
    });
  };
  const [first = 0, second = 0] = bytes;
  if (
    (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff) ||
    // Without a byte-order mark, every other byte of plain text is 0.
    (bytes.length > 3 && bytes.subarray(0, 64).filter((byte) => byte === 0).length >= 2)
  ) {
    throw new MigrationFileError(`Cannot use ${path}: it is UTF-16 text`, {
      help: "save it as UTF-8",
      ...{ path, migration: name },
    });
  }
  const nul = bytes.indexOf(0);
  if (nul !== -1) fail(nul, "it has a NUL character", "remove it: SQLite would stop there");
  const wrong = firstWrongByte(bytes);
  if (wrong === -1) return; // the text itself contains U+FFFD
  const byte = bytes[wrong]?.toString(16).padStart(2, "0");
  fail(wrong, `it is not UTF-8 text (byte 0x${byte})`, "save it as UTF-8");
}

/** Offset of the first byte that is not valid UTF-8; -1 if there is none. */
function firstWrongByte(bytes: Uint8Array): number {
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  for (let at = text.indexOf("\uFFFD"); at !== -1; at = text.indexOf("\uFFFD", at + 1)) {
    const offset = new TextEncoder().encode(text.slice(0, at)).length;
    // Otherwise the text itself contains U+FFFD.
    if (bytes.subarray(offset, offset + 3).toHex() !== "efbfbd") return offset;
  }
  return -1;
}

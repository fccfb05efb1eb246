import { AccessError } from "../base/errors.ts";
import { directoryOf, fileItself, specialKind } from "../base/paths.ts";
import { manifestFile } from "../snapshot/manifest.ts";
import { listSnapshots, storeLock } from "../snapshot/store.ts";
import { lockBeside, restoreJournal, type Workspace } from "../state/workspace.ts";

/** Options for a file that the user wants to write. */
export interface OutputFileOptions {
  /** Whether an existing file may be replaced. Default `false`. */
  readonly force?: boolean;
  /** Flag that named it. Default `--out`. */
  readonly flag?: string;
  /** Directory of the user's migrations, whose files must not be replaced. Default: none. */
  readonly migrationsDir?: string | null;
  /** Path of the configuration file. Default: none. */
  readonly configuration?: string | undefined;
}

/**
 * Refuses to write a file over something else. Nothing that belongs to these databases is replaced,
 * nor any other database or snapshot; `force` allows it for other files only. Devices such as
 * `/dev/null` may be written to.
 *
 * @throws {AccessError} naming what the path belongs to.
 */
export async function refuseOccupied(
  workspace: Workspace,
  path: string,
  options: OutputFileOptions = {},
): Promise<void> {
  const { force = false, flag = "--out" } = options;
  const what = await ownerOf(workspace, path, options);
  if (what !== null) {
    throw new AccessError(`Cannot write ${path}: it is the path of ${what}`, {
      help: `name another file with ${flag}; nothing was written`,
    });
  }
  if (force || !isTaken(path)) return;
  throw new AccessError(`Cannot write ${path}: it already exists`, {
    help: flag === "--out"
      ? "name another file, or add --force to replace it; nothing was written"
      : `name another file with ${flag}; nothing was written`,
  });
}

/** What a path belongs to, for a message; null if it is free, or belongs to nothing known. */
async function ownerOf(
  workspace: Workspace,
  path: string,
  { migrationsDir, configuration }: OutputFileOptions,
): Promise<string | null> {
  const place = placeOf(path);
  if (configuration !== undefined && isSamePlace(place, placeOf(configuration))) {
    return "the configuration";
  }
  for (const [owned, what] of ownedFiles(workspace)) {
    if (isSamePlace(place, placeOf(owned))) return what;
  }
  const directory = directoryOf(path);
  const name = nameOf(path);
  if (
    migrationsDir !== undefined && migrationsDir !== null && /^\d+_.*\.(sql|ts|js)$/i.test(name) &&
    isSamePlace(placeOf(directory), placeOf(migrationsDir))
  ) return "a migration";
  if (place.info?.isFile !== true) return null;
  if (isDatabase(path)) return "a database";
  const isSnapshot = (await listSnapshots(directory)).some((one) =>
    name === manifestFile(one.name) || one.manifest?.files.some(({ file }) => file === name)
  );
  return isSnapshot ? "a snapshot" : null;
}

/** Files that belong to the databases, whether they exist or not. */
function* ownedFiles(workspace: Workspace): Generator<readonly [path: string, what: string]> {
  const { locations, ledger, ledgerFile, backups, registry } = workspace;
  const databases = [
    ...[...locations].map(([name, { path }]) => [path, `database ${name}`] as const),
    [ledger.path, "the ledger"] as const,
  ];
  for (const [path, what] of databases) {
    if (path === ":memory:") continue;
    const itself = fileItself(path);
    yield [path, what];
    for (const ending of ["", "-wal", "-shm", "-journal"]) yield [`${itself}${ending}`, what];
  }
  if (ledgerFile !== ":memory:") {
    yield [lockBeside(ledgerFile), "a lock"];
    yield [restoreJournal(ledgerFile), "the journal of a restore"];
    yield [`${restoreJournal(ledgerFile)}.part`, "the journal of a restore"];
  }
  yield [storeLock(backups), "a lock"];
  for (const { source } of registry.migrations) {
    if (source !== undefined) yield [source.path, "a migration"];
  }
}

/** A location in a file system, however it is spelled. */
interface Place {
  readonly path: string;
  /** The existing file; null if there is none. */
  readonly info: Deno.FileInfo | null;
}

function placeOf(path: string): Place {
  try {
    return { path: Deno.realPathSync(path), info: Deno.statSync(path) };
  } catch {
    const directory = directoryOf(path);
    try {
      return { path: `${Deno.realPathSync(directory)}/${nameOf(path)}`, info: null };
    } catch {
      return { path, info: null }; // its directory is missing, or can't be read
    }
  }
}

function isSamePlace(one: Place, other: Place): boolean {
  if (one.path === other.path) return true;
  // Another name of the same file: a hard link, or different case where case doesn't matter.
  const [a, b] = [one.info, other.info];
  return a !== null && b !== null && a.ino !== null && a.ino === b.ino && a.dev === b.dev;
}

/** Whether writing would replace something: a file, or a link, whatever its target. */
function isTaken(path: string): boolean {
  try {
    const info = Deno.lstatSync(path);
    return info.isSymlink || specialKind(info) === null;
  } catch {
    return false; // writing reports the problem
  }
}

function nameOf(path: string): string {
  return path.replace(/^.*[/\\]/, "");
}

/** Whether a file begins as SQLite's do. The program must not have it open. */
function isDatabase(path: string): boolean {
  try {
    using file = Deno.openSync(path);
    const header = new Uint8Array(16);
    return file.readSync(header) === 16 &&
      new TextDecoder().decode(header) === "SQLite format 3\0";
  } catch {
    return false; // writing reports the problem
  }
}

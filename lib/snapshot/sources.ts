/**
 * Finds and checks what to restore: a snapshot or one file.
 *
 * @module
 */
import { CatalystError, NotADatabaseError, SnapshotError } from "../base/errors.ts";
import { createLike, gunzip, removeDatabase, removeIfThere } from "../base/files.ts";
import {
  fileItself,
  partFileOf,
  refuseSpecialFile,
  sizeBeside,
  sizeOf,
  statPath,
} from "../base/paths.ts";
import { messageOf, shellWord } from "../base/format.ts";
import { openForReading } from "../database/open.ts";
import type { Registry } from "../migration/migration.ts";
import { LEDGER } from "../state/workspace.ts";
import type { Replacement } from "./journal.ts";
import { digestFile, type Manifest, type SnapshotFile } from "./manifest.ts";
import { isSnapshotName } from "./names.ts";
import { fileProblem, lastGood, listSnapshots, newestWhere, readManifest } from "./store.ts";
import { type CopyCheck, examine } from "./take.ts";

/** Result of {@link checkSnapshot}. */
export interface SnapshotCheck {
  /** Whether every file matches the manifest. */
  readonly ok: boolean;
  /** Problems, by file. */
  readonly problems: readonly string[];
}

/** Options for checking a snapshot. */
export interface CheckOptions {
  /** How thoroughly SQLite checks the files. Default `quick`. */
  readonly verify?: CopyCheck;
  /** Called with the share that is done, from 0 to 1. */
  readonly onShare?: ((share: number) => void) | undefined;
}

/** Rereads every file of a snapshot: size, checksum, SQLite's own check, rows, migrations. */
export async function checkSnapshot(
  directory: string,
  manifest: Manifest,
  { verify = "quick", onShare }: CheckOptions = {},
): Promise<SnapshotCheck> {
  const problems: string[] = [];
  const total = manifest.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 1);
  let before = 0;
  for (const file of manifest.files) {
    // Computing the checksum is the first half of the work, and SQLite's check the second one.
    const onBytes = (done: number) => onShare?.((before + done / 2) / total);
    const problem = fileProblem(directory, file) ??
      await checkFile(directory, file, { verify, onBytes });
    if (problem !== null) problems.push(problem);
    before += file.sizeBytes;
    onShare?.(before / total);
  }
  return { ok: problems.length === 0, problems };
}

async function checkFile(
  directory: string,
  file: SnapshotFile,
  { verify, onBytes }: { readonly verify: CopyCheck; readonly onBytes: (done: number) => void },
): Promise<string | null> {
  const path = `${directory}/${file.file}`;
  if (file.sha256 !== null && await digestFile(path, { onBytes }) !== file.sha256) {
    return `${file.file} is damaged: its checksum does not match the manifest`;
  }
  if (verify === "none") return null;
  try {
    await using plain = await plainFile(path, file.compressed);
    const { rows, migrations } = await examine(plain.path, verify);
    const isSame = JSON.stringify([rows, migrations]) ===
      JSON.stringify([file.rows, file.migrations]);
    return isSame ? null : `${file.file} has rows or migrations that do not match its manifest`;
  } catch (error) {
    if (error instanceof CatalystError) return error.message;
    throw error;
  }
}

/**
 * A database file that can be opened. A compressed one is unpacked next to it until disposal. One
 * with a journal, as after a crash, is copied with it, because rolling the journal back changes the
 * file.
 */
export async function plainFile(
  path: string,
  compressed: boolean,
): Promise<AsyncDisposable & { readonly path: string }> {
  const hasJournal = (sizeBeside(fileItself(path), "-journal") ?? 0) > 0;
  if (!compressed && !hasJournal) return { path, [Symbol.asyncDispose]: () => Promise.resolve() };
  // The name includes the process id: another process may be unpacking the same file.
  const plain = partFileOf(`${path}.unpacked_${Deno.pid}`);
  const discard = () => Promise.resolve(removeDatabase(plain));
  await discard();
  try {
    await (compressed ? unpack(path, plain) : copyWithJournal(path, plain));
  } catch (error) {
    await discard();
    if (!compressed) throw error;
    throw new SnapshotError(`Cannot unpack ${path}: ${messageOf(error)}`, {
      cause: error,
      help: "use another snapshot; `backup list` shows them",
    });
  }
  return { path: plain, [Symbol.asyncDispose]: discard };
}

async function copyWithJournal(path: string, copy: string): Promise<void> {
  for (const ending of ["", "-journal"]) {
    createLike(`${copy}${ending}`, path);
    await Deno.copyFile(`${fileItself(path)}${ending}`, `${copy}${ending}`);
  }
  // Rolls the journal back.
  await using _played = await openForReading({ kind: "file", path: copy }, { busyTimeout: 0 });
}

/** Unpacks a gzip file. */
export async function unpack(from: string, to: string): Promise<void> {
  using source = await Deno.open(from);
  removeIfThere(to);
  createLike(to, from);
  using target = await Deno.open(to, { write: true, create: true });
  await ReadableStream.from(gunzip(source.readable)).pipeTo(target.writable);
}

/** A database file to restore from, and what is in it. */
export type RestoreSource =
  & Pick<Replacement, "database" | "source" | "bytes" | "compressed">
  & Pick<SnapshotFile, "rows" | "migrations">;

/** What to restore, found and checked. */
export interface RestoreSet {
  /** Name of the snapshot, or path of the single file. */
  readonly label: string;
  readonly sources: readonly RestoreSource[];
}

/** What to look for, and where. */
interface SourceQuery {
  /** Directory of the snapshots. */
  readonly directory: string;
  /** Only these databases; all in the snapshot if empty. */
  readonly databases: readonly string[];
  readonly registry: Registry;
  /** Called with the share of the check that is done, from 0 to 1. */
  readonly onShare?: (share: number) => void;
}

/**
 * Finds and checks what the user names: a snapshot by its name or its manifest's path, `latest`, or
 * one database file from any source.
 *
 * @throws {SnapshotError} if it does not exist, or is damaged.
 */
export async function findSources(reference: string, query: SourceQuery): Promise<RestoreSet> {
  const { directory, name } = await locateSnapshot(reference, query.directory);
  if (name === null) return await singleFile(reference, query);
  const manifest = await readManifest(directory, name);
  await requireDatabases(manifest, { ...query, directory });
  const files = chosenFiles(manifest, query);
  const { ok, problems } = await checkSnapshot(directory, { ...manifest, files }, query);
  if (!ok) throw unusable(name, problems.join("; "));
  return {
    label: name,
    sources: files.map(({ database, file, sizeBytes, compressed, rows, migrations }) => ({
      database,
      source: `${directory}/${file}`,
      bytes: sizeBytes,
      compressed,
      rows,
      migrations,
    })),
  };
}

async function locateSnapshot(
  reference: string,
  directory: string,
): Promise<{ directory: string; name: string | null }> {
  if (reference === "latest") {
    // A snapshot that a restore kept for `--undo` is not the latest one taken. What a resumed
    // restore kept may contain databases that don't match each other.
    const newest = newestWhere(
      await listSnapshots(directory),
      ({ manifest, problems }) =>
        problems.length === 0 && manifest?.reason !== "safety" &&
        manifest?.reason !== "interrupted",
    );
    if (newest !== undefined) return { directory, name: newest.name };
    throw new SnapshotError(`Cannot find a snapshot: ${directory} has no intact snapshot`, {
      help: "`backup` makes one",
    });
  }
  if (isSnapshotName(reference)) return { directory, name: reference };
  const [, parent, name] = /^(?:(.*)[/\\])?snapshot_(\w+)\.json$/.exec(reference) ?? [];
  if (name !== undefined) return { directory: parent ?? ".", name };
  refuseSpecialFile(reference, {
    cannot: "restore",
    help: statPath(reference)?.isDirectory
      ? `\`restore --from ${shellWord(reference)}\` restores the newest snapshot in it; ` +
        `\`backup list --from ${shellWord(reference)}\` shows all`
      : "name a file, or move it away",
  });
  const size = sizeOf(reference);
  if (size === 0) throw unusable(reference, "it is empty");
  if (size !== null) return { directory, name: null };
  const { didYouMean } = await import("../base/format.ts");
  throw new SnapshotError(
    `Cannot find snapshot "${reference}": it is neither a snapshot's name nor a file`,
    { help: `${didYouMean(reference, ["latest"])}\`backup list\` shows the snapshots` },
  );
}

/** Refuses a snapshot that lacks a requested database, and names one that has it. */
async function requireDatabases(
  manifest: Manifest,
  { databases, directory }: SourceQuery,
): Promise<void> {
  const absent = databases.find((name) => manifest.files.every((one) => one.database !== name));
  if (absent === undefined) return;
  const reason = `it has no database "${absent}"`;
  const good = lastGood(await listSnapshots(directory), { database: absent, directory });
  if (good === null) throw unusable(manifest.name, reason);
  throw new SnapshotError(`Cannot restore ${manifest.name}: ${reason}`, {
    help: `nothing was changed; the newest snapshot with it is ${good.name}: ` +
      `\`restore ${good.name} ${absent}\``,
  });
}

function chosenFiles(manifest: Manifest, query: SourceQuery): SnapshotFile[] {
  const { databases, registry } = query;
  const files = manifest.files.filter(({ database }) =>
    databases.length === 0 || databases.includes(database)
  );
  for (const { database, migrations } of files) {
    if (database === LEDGER) continue;
    if (!registry.databases.includes(database)) {
      throw unusable(manifest.name, `it belongs to another set of databases: it has "${database}"`);
    }
    refuseStrangers(manifest.name, { database, migrations, registry });
  }
  return files;
}

/** An unknown migration may have a missing or broken file, which must not prevent a restore. */
function refuseStrangers(
  label: string,
  { database, migrations, registry }:
    & Pick<RestoreSource, "database" | "migrations">
    & Pick<SourceQuery, "registry">,
): void {
  const stranger = migrations.find((id) =>
    (registry.byId.get(id)?.database ?? database) !== database
  );
  if (stranger === undefined) return;
  throw unusable(
    label,
    `${database} holds migration ${stranger}, which belongs to another database`,
  );
}

/** A database file of any origin: from `cp`, from the `sqlite3` shell, or part of a snapshot. */
async function singleFile(path: string, query: SourceQuery): Promise<RestoreSet> {
  if (query.databases.length > 1) {
    throw unusable(path, "one file holds one database: name only one");
  }
  const { registry } = query;
  const compressed = path.endsWith(".gz");
  try {
    await using plain = await plainFile(path, compressed);
    const { rows, migrations } = await examine(plain.path, "quick");
    const database = databaseOf(path, migrations, query);
    refuseStrangers(path, { database, migrations, registry });
    const bytes = sizeOf(path) ?? 0;
    const source = { database, source: path, bytes, compressed, rows, migrations };
    return { label: path, sources: [source] };
  } catch (error) {
    if (!(error instanceof NotADatabaseError)) throw error;
    const reason = error.message.replace(/^Cannot .*: /, "");
    throw new NotADatabaseError(`Cannot restore ${path}: ${reason}`, {
      cause: error,
      help: "name a database file; `backup list` shows the snapshots",
    });
  }
}

/** The database a file belongs to: as the caller says, or by its first migration, or by its name. */
function databaseOf(
  path: string,
  [first = ""]: readonly string[],
  { databases: [wanted], registry }: SourceQuery,
): string {
  const owner = registry.byId.get(first)?.database;
  if (wanted !== undefined && owner !== undefined && owner !== wanted) {
    throw new SnapshotError(
      `Cannot restore ${path}: it belongs to ${owner}, not to ${wanted}`,
      { help: `nothing was changed; \`restore ${shellWord(path)} ${owner}\` restores ${owner}` },
    );
  }
  const file = path.replace(/^.*[/\\]/, "");
  const found = wanted ?? owner ??
    registry.databases.find((name) => file === `${name}.db` || file.startsWith(`${name}_`));
  if (found !== undefined) return found;
  throw unusable(
    path,
    "it does not say which database it belongs to: name the database after the file",
  );
}

function unusable(label: string, reason: string): SnapshotError {
  return new SnapshotError(`Cannot restore ${label}: ${reason}`, {
    help: "nothing was changed; `backup list` shows the snapshots",
  });
}

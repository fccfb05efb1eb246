import { CatalystError, SnapshotError } from "../base/errors.ts";
import { type CopyCheck, examine } from "./copy.ts";
import { digestFile } from "./digest.ts";
import { removeIfThere } from "../base/files.ts";
import type { Manifest, SnapshotFile } from "./manifest.ts";
import { partOf } from "../base/files.ts";
import { fileProblem } from "./store.ts";

/** What {@link checkSnapshot} found. */
export interface SnapshotCheck {
  /** Whether every file is as the manifest says. */
  readonly ok: boolean;
  /** What is wrong, file by file, in plain words. */
  readonly problems: readonly string[];
}

/** Reads every file of a snapshot again: size, checksum, SQLite's own check, rows, migrations. */
export async function checkSnapshot(
  directory: string,
  manifest: Manifest,
  verify: CopyCheck = "quick",
): Promise<SnapshotCheck> {
  const problems: string[] = [];
  for (const file of manifest.files) {
    const problem = fileProblem(directory, file) ?? await checkFile(directory, file, verify);
    if (problem !== null) problems.push(problem);
  }
  return { ok: problems.length === 0, problems };
}

async function checkFile(
  directory: string,
  file: SnapshotFile,
  verify: CopyCheck,
): Promise<string | null> {
  const path = `${directory}/${file.file}`;
  if (file.sha256 !== null && await digestFile(path) !== file.sha256) {
    return `${file.file} is damaged: its checksum is not the one of the manifest`;
  }
  if (verify === "none") return null;
  try {
    await using plain = await plainFile(path, file.compressed);
    const { rows, migrations } = await examine(plain.path, verify);
    const isSame = JSON.stringify([rows, migrations]) ===
      JSON.stringify([file.rows, file.migrations]);
    return isSame ? null : `${file.file} holds other rows or migrations than its manifest says`;
  } catch (error) {
    if (error instanceof CatalystError) return error.message;
    throw error;
  }
}

/** A database file that can be opened; a compressed one is unpacked beside it until disposed of. */
export async function plainFile(
  path: string,
  compressed: boolean,
): Promise<AsyncDisposable & { readonly path: string }> {
  if (!compressed) return { path, [Symbol.asyncDispose]: () => Promise.resolve() };
  // With the process in its name: another one may be unpacking the same file.
  const unpacked = partOf(`${path}.unpacked_${Deno.pid}`);
  try {
    await unpack(path, unpacked);
  } catch (error) {
    removeIfThere(unpacked);
    const message = error instanceof Error ? error.message : String(error);
    throw new SnapshotError(`Cannot unpack ${path}: ${message}`, {
      cause: error,
      help: "use another snapshot; `backup list` shows them",
    });
  }
  return {
    path: unpacked,
    [Symbol.asyncDispose]: () => Promise.resolve(removeIfThere(unpacked)),
  };
}

/** Unpacks a file that gzip packed. */
export async function unpack(from: string, to: string): Promise<void> {
  using source = await Deno.open(from);
  using target = await Deno.open(to, { write: true, create: true, truncate: true });
  await source.readable.pipeThrough(new DecompressionStream("gzip")).pipeTo(target.writable);
}

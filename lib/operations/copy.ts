import {
  AccessError,
  ConfirmationError,
  InterruptedError,
  LocationError,
  UsageError,
} from "../base/errors.ts";
import { type OnStep, Steps } from "../base/steps.ts";
import { isFile, refuseLink, removeDatabase, syncDirectory, syncFile } from "../base/files.ts";
import { directoryOf, fileItself, sizeBeside, sizeOf } from "../base/paths.ts";
import type { CopyProgress } from "../database/connection.ts";
import {
  type DatabaseLocation,
  isLibsqlAddress,
  locate,
  refuseLogWithoutDatabase,
  statDatabase,
} from "../database/location.ts";
import { openForReading, openForWriting } from "../database/open.ts";
import { type TemporaryCopy, temporaryCopy } from "../database/temporary_copy.ts";
import { beginReading } from "../database/transaction.ts";
import { contentHash } from "../dump/hash.ts";
import type { OutputFileOptions } from "../dump/output_file.ts";
import { unknownDatabase, type Workspace } from "../state/workspace.ts";

/** Options for copying a database. */
export interface CopyDatabaseOptions
  extends Pick<OutputFileOptions, "migrationsDir" | "configuration"> {
  /** Called periodically with the progress. */
  readonly onStep?: OnStep | undefined;
  /** Stops the copy and leaves everything unchanged. */
  readonly signal?: AbortSignal;
}

/** How long each step takes, compared with the others. */
const WEIGHTS = { read: 1, write: 1, compare: 10 };

/** How a running copy reports its progress, and is stopped. */
interface Control {
  readonly steps: Steps;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: (progress: CopyProgress) => void;
}

/** Result of a copy. */
export interface CopyDatabaseResult {
  /** Location of the source. */
  readonly from: string;
  /** Location of the copy. */
  readonly to: string;
  /** SHA-256 of the content, as `verify` computes it; equal for both. */
  readonly hash: string;
}

/**
 * Copies a database to another place. The copy is exact and all-or-nothing. Each end is the name of
 * a database, the address of one on a server, or a path. The target must be empty.
 *
 * @throws {LocationError} if the source does not exist.
 * @throws {ConfirmationError} if the target is not empty.
 * @throws {LocationError} if the target is missing or empty, but its log is not.
 * @throws {AccessError} if the target is the path of another file of the toolkit or of SQLite.
 */
export async function copyDatabase(
  workspace: Workspace,
  ends: { readonly from: string; readonly to: string },
  options: CopyDatabaseOptions = {},
): Promise<CopyDatabaseResult> {
  // A named database's token is used for both ends.
  const name = [ends.from, ends.to].find((end) => workspace.locations.has(end)) ?? "";
  const [from, to] = [placeOf(workspace, ends.from, name), placeOf(workspace, ends.to, name)];
  if (from.path === to.path) {
    throw new UsageError(`Cannot copy ${ends.from}: both ends are ${from.path}`);
  }
  if (to.kind === "open") {
    throw new UsageError(`Cannot copy to ${ends.to}: it is open in this program`, {
      help: "name a path or an address",
    });
  }
  if (!statDatabase(from).exists) {
    throw new LocationError(`Cannot copy ${ends.from}: database not found (${from.path})`, {
      help: "name a database, a path or an address; `status` lists the databases",
    });
  }
  if (to.kind === "file") await refuseTarget(workspace, to.path, options);
  const { read, write, compare } = WEIGHTS;
  const steps = new Steps(read + write + 2 * compare, options.onStep);
  const control: Control = {
    steps,
    signal: options.signal,
    onProgress: ({ done, total }: CopyProgress) => {
      if (options.signal?.aborted) {
        throw new InterruptedError(`Cannot copy ${ends.from}: interrupted`, {
          help: "nothing was changed",
        });
      }
      steps.advance(done, total);
    },
  };
  steps.begin(`reading ${ends.from}`, read);
  await using original = await readOriginal(workspace, from, control);
  const hash = to.kind === "server"
    ? await toServer(workspace, original.path, { to, control })
    : await toFile(workspace, original.path, { to: fileItself(to.path), control });
  return { from: from.path, to: to.path, hash };
}

function placeOf(workspace: Workspace, end: string, name: string): DatabaseLocation {
  const known = workspace.locations.get(end);
  if (known !== undefined) return known;
  if (isLibsqlAddress(end)) return locate(end, name);
  if (/[./\\]/.test(end)) return locate(end);
  throw unknownDatabase(end, {
    verb: "copy",
    names: [...workspace.locations.keys()],
    more: "; a path contains a slash or a dot",
  });
}

async function refuseTarget(
  workspace: Workspace,
  to: string,
  { migrationsDir = null, configuration }: CopyDatabaseOptions,
): Promise<void> {
  if ((statDatabase({ kind: "file", path: to }).sizeBytes ?? 0) > 0) {
    throw new ConfirmationError(`Cannot copy to ${to}: it exists`, {
      help: "name another file, or move this one away; nothing was changed",
    });
  }
  refuseLink(to, { cannot: `copy to ${to}` });
  const itself = fileItself(to);
  const { whyOwned } = await import("../dump/output_file.ts");
  const reason = await whyOwned(workspace, itself, {
    migrationsDir,
    configuration,
    mayBeDatabase: true,
  });
  if (reason !== null) {
    throw new AccessError(`Cannot copy to ${to}: ${reason}`, {
      help: "name another file; nothing was changed",
    });
  }
  refuseLogWithoutDatabase(to);
  // Even the journal of a first transaction: SQLite would empty the copy with it.
  if (sizeBeside(itself, "-journal") === 0) return;
  throw new LocationError(`Cannot copy to ${to}: it has a journal, ${itself}-journal`, {
    help: "if no program is creating that database, move the journal away; nothing was changed",
  });
}

async function readOriginal(
  { settings }: Workspace,
  from: DatabaseLocation,
  control: Control,
): Promise<TemporaryCopy> {
  await using connection = await openForReading(from, settings);
  const isOurs = !connection.inTransaction;
  if (isOurs) await beginReading(connection);
  try {
    return await temporaryCopy(connection, control);
  } finally {
    if (isOurs && connection.inTransaction) await connection.exec("ROLLBACK");
  }
}

async function toServer(
  { settings, timeout }: Workspace,
  path: string,
  { to, control }: { readonly to: DatabaseLocation; readonly control: Control },
): Promise<string> {
  const { fillServer } = await import("../dump/to_server.ts");
  await using target = await openForWriting(to, settings);
  return await fillServer(path, target, { timeout, ...control });
}

async function toFile(
  { settings }: Workspace,
  path: string,
  { to, control: { steps, onProgress } }: { readonly to: string; readonly control: Control },
): Promise<string> {
  const directory = directoryOf(to);
  if (!isFile(to) && sizeOf(directory) === null) {
    throw new LocationError(`Cannot copy to ${to}: there is no directory ${directory}`, {
      help: "create it first",
    });
  }
  // The temporary file may be on another disk, so it is first copied to the target's directory.
  const part = `${to}.copy.part`;
  removeDatabase(part);
  try {
    await using connection = await openForReading({ kind: "file", path }, settings);
    steps.begin(`writing ${to}`, WEIGHTS.write);
    await connection.copyTo(part, { onProgress });
    const hashOf = async (file: string) => {
      steps.begin("comparing the copy with the original", WEIGHTS.compare);
      const onShare = (share: number) => steps.advance(share);
      return await contentHash({ kind: "file", path: file }, settings, onShare);
    };
    const hash = await hashOf(part);
    if (hash !== await hashOf(path)) {
      throw new LocationError(`Cannot copy to ${to}: the copy differs from the original`, {
        help: "check the disk; nothing was changed",
      });
    }
    await syncFile(part);
    Deno.renameSync(part, to);
    await syncDirectory(directory);
    return hash;
  } finally {
    removeDatabase(part);
  }
}

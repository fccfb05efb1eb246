/**
 * The manifest: what a snapshot consists of, and a checksum of the manifest itself.
 *
 * @module
 */
import { InterruptedError, SnapshotError } from "../base/errors.ts";
import type { StopFlag } from "../base/file_lock.ts";
import { databaseFile, isSnapshotName } from "./names.ts";

/**
 * Why a snapshot was taken: on request, before a change, before a restore, or before an interrupted
 * restore was resumed.
 */
export type SnapshotReason = "manual" | "automatic" | "safety" | "interrupted";

/** One database in a snapshot. */
export interface SnapshotFile {
  /** Name of the database, such as `positions`; `migrations` is the ledger. */
  readonly database: string;
  /** Name of the file, next to the manifest. */
  readonly file: string;
  /** Size of the file in bytes. */
  readonly sizeBytes: number;
  /** SHA-256 of the file in hexadecimal; null if it was not computed. */
  readonly sha256: string | null;
  /** Whether the file is gzip-compressed. */
  readonly compressed: boolean;
  /** Number of rows by table. */
  readonly rows: Readonly<Record<string, number>>;
  /** Ids of the migrations in it. */
  readonly migrations: readonly string[];
  /**
   * Tables that could not be checked because they need the program that created them; absent if all
   * were checked.
   */
  readonly unchecked?: readonly string[];
}

/** A snapshot: its files are consistent with each other. */
export interface Manifest {
  /** Name of the snapshot, such as `20250120_123000`. */
  readonly name: string;
  /** When it was taken, in Unix epoch seconds. */
  readonly createdAt: number;
  /** Why it was taken. */
  readonly reason: SnapshotReason;
  /** Version of the toolkit. */
  readonly toolkitVersion: string;
  /** Version of SQLite. */
  readonly sqliteVersion: string;
  /** How the copies were checked. */
  readonly verified: "quick" | "full" | "none";
  /** How long writers were kept waiting, in seconds. */
  readonly heldSeconds: number;
  /** The copied databases. */
  readonly files: readonly SnapshotFile[];
}

/** Format of the manifest that this version writes. */
const MANIFEST_FORMAT = 1;

/** The manifest's text, with a checksum of itself that detects any changed bit. */
export async function serializeManifest(manifest: Manifest): Promise<string> {
  return await withChecksum({ format: MANIFEST_FORMAT, ...manifest });
}

/** JSON with a checksum of itself. */
export async function withChecksum(content: object): Promise<string> {
  const bytes = new TextEncoder().encode(JSON.stringify(content));
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  const checksum = new Uint8Array(digest).toHex();
  return `${JSON.stringify({ ...content, checksum }, null, 2)}\n`;
}

/**
 * Reads a manifest.
 *
 * @throws {SnapshotError} if it is damaged, of a newer format, or names files elsewhere.
 */
export async function parseManifest(content: string, label: string): Promise<Manifest> {
  const text = content.replaceAll("\r\n", "\n"); // as git writes it on Windows
  const { format, checksum: _, ...manifest } = parseJson(text, label);
  if (typeof format === "number" && format > MANIFEST_FORMAT) {
    throw new SnapshotError(
      `Cannot read ${label}: its format is ${format}, and this version knows ${MANIFEST_FORMAT}`,
      { help: "a newer catalyst-migrate wrote it: update this one" },
    );
  }
  if (format !== MANIFEST_FORMAT || !isManifest(manifest)) {
    throw damaged(label, "a field is missing or invalid");
  }
  if (!manifest.files.every((file) => isFileOf(manifest.name, file))) {
    throw damaged(label, "the entry of a file is invalid");
  }
  // Serializing it again must give the same bytes.
  if (await serializeManifest(manifest) !== text) {
    throw damaged(label, "its checksum does not match");
  }
  return manifest;
}

function parseJson(text: string, label: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (isRecord(value)) return value;
  } catch {
    // reported below
  }
  throw damaged(label, "it is not a JSON object");
}

/** Does not look into the list of files. */
function isManifest(value: object): value is Manifest {
  const { name, createdAt, reason, toolkitVersion, sqliteVersion, verified, heldSeconds, files } =
    value as Readonly<Record<string, unknown>>;
  return typeof name === "string" && isSnapshotName(name) && typeof createdAt === "number" &&
    isReason(reason) && typeof toolkitVersion === "string" && typeof sqliteVersion === "string" &&
    isVerified(verified) && typeof heldSeconds === "number" && Array.isArray(files);
}

function isFileOf(name: string, value: unknown): boolean {
  if (!isRecord(value)) return false;
  const { database, file, sizeBytes, sha256, compressed, rows, migrations, unchecked } = value;
  return typeof database === "string" && /^\w+$/.test(database) &&
    typeof compressed === "boolean" &&
    // Never a path: the file is next to the manifest, under the only name it may have.
    file === databaseFile(database, name, compressed) && typeof sizeBytes === "number" &&
    (sha256 === null || typeof sha256 === "string") && isCounts(rows) && isTexts(migrations) &&
    (unchecked === undefined || isTexts(unchecked));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isReason(value: unknown): value is SnapshotReason {
  return value === "manual" || value === "automatic" || value === "safety" ||
    value === "interrupted";
}

function isVerified(value: unknown): value is Manifest["verified"] {
  return value === "quick" || value === "full" || value === "none";
}

function isCounts(value: unknown): value is Record<string, number> {
  return isRecord(value) && Object.values(value).every((count) => typeof count === "number");
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((one) => typeof one === "string");
}

function damaged(label: string, reason: string): SnapshotError {
  return new SnapshotError(`Cannot read ${label}: it is damaged: ${reason}`, {
    help: "use another snapshot; `backup list` shows them",
  });
}

/** Bytes to read at once. */
const CHUNK = 1 << 20;

/** SHA-256 of a file in hexadecimal, read in chunks. */
export async function digestFile(
  path: string,
  { signal, onBytes }: {
    readonly signal?: StopFlag | undefined;
    readonly onBytes?: (done: number) => void;
  } = {},
): Promise<string> {
  // Web Crypto needs the whole file at once.
  const { createHash } = await import("node:crypto");
  const hash = createHash("sha256");
  using file = await Deno.open(path);
  const chunk = new Uint8Array(CHUNK);
  let done = 0;
  for (;;) {
    const length = await file.read(chunk);
    if (length === null) return hash.digest("hex");
    hash.update(chunk.subarray(0, length));
    done += length;
    onBytes?.(done);
    if (signal?.aborted) {
      throw new InterruptedError(`Cannot take a snapshot: interrupted`, {
        help: "no partial snapshot remains",
      });
    }
  }
}

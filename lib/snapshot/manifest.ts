import { SnapshotError } from "../base/errors.ts";
import { databaseFile, isSnapshotName } from "./name.ts";

/** Format of the manifest that this version writes. */
const MANIFEST_FORMAT = 1;

/**
 * Why a snapshot was taken: asked for, before a change, before a restore, or before a restore that was
 * interrupted went on.
 */
export type SnapshotReason = "manual" | "automatic" | "safety" | "interrupted";

/** One database in a snapshot. */
export interface SnapshotFile {
  /** Name of the database, such as `positions`; `migrations` is the ledger. */
  readonly database: string;
  /** Name of the file, beside the manifest. */
  readonly file: string;
  /** Size of the file in bytes. */
  readonly sizeBytes: number;
  /** SHA-256 of the file in hexadecimal; null where it was not to be checked. */
  readonly sha256: string | null;
  /** Whether the file is compressed by gzip. */
  readonly compressed: boolean;
  /** Number of rows by table. */
  readonly rows: Readonly<Record<string, number>>;
  /** Ids of the migrations that are in it. */
  readonly migrations: readonly string[];
}

/** What a snapshot is: all its files, of one moment. */
export interface Manifest {
  /** Name of the snapshot, such as `20250120_123000`. */
  readonly name: string;
  /** The moment, in Unix epoch seconds. */
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
  /** The databases. */
  readonly files: readonly SnapshotFile[];
}

/** The manifest's text, with a checksum of itself, so that it can vouch for every bit. */
export async function serializeManifest(manifest: Manifest): Promise<string> {
  const { name, createdAt, reason, toolkitVersion, sqliteVersion, verified, heldSeconds } =
    manifest;
  const files = manifest.files.map((file) => ({
    database: file.database,
    file: file.file,
    sizeBytes: file.sizeBytes,
    sha256: file.sha256,
    compressed: file.compressed,
    rows: file.rows,
    migrations: file.migrations,
  }));
  const content = {
    format: MANIFEST_FORMAT,
    name,
    createdAt,
    reason,
    toolkitVersion,
    sqliteVersion,
    verified,
    heldSeconds,
    files,
  };
  const checksum = await sha256(JSON.stringify(content));
  return `${JSON.stringify({ ...content, checksum }, null, 2)}\n`;
}

/**
 * Reads a manifest.
 *
 * @throws {SnapshotError} where it is damaged, of a newer format, or names files elsewhere.
 */
export async function parseManifest(text: string, label: string): Promise<Manifest> {
  const manifest = toManifest(parseJson(text, label), label);
  // Writing it again gives every byte, so that no bit may differ.
  if (await serializeManifest(manifest) !== text) throw damaged(label, "its checksum does not fit");
  return manifest;
}

function parseJson(text: string, label: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (isRecord(value)) return value;
  } catch {
    // said below
  }
  throw damaged(label, "it is not a JSON object");
}

function toManifest(value: Record<string, unknown>, label: string): Manifest {
  if (typeof value.format === "number" && value.format > MANIFEST_FORMAT) {
    throw new SnapshotError(
      `Cannot read ${label}: its format is ${value.format}, and this version knows ${MANIFEST_FORMAT}`,
      { help: "a newer catalyst-migrate wrote it: update this one" },
    );
  }
  const { name, createdAt, reason, toolkitVersion, sqliteVersion, verified, heldSeconds, files } =
    value;
  const isWhole = value.format === MANIFEST_FORMAT && typeof name === "string" &&
    isSnapshotName(name) && typeof createdAt === "number" && isReason(reason) &&
    typeof toolkitVersion === "string" && typeof sqliteVersion === "string" &&
    isVerified(verified) && typeof heldSeconds === "number" && Array.isArray(files);
  if (!isWhole) throw damaged(label, "a field is missing or wrong");
  return {
    name,
    createdAt,
    reason,
    toolkitVersion,
    sqliteVersion,
    verified,
    heldSeconds,
    files: files.map((file) => toFile(file, name, label)),
  };
}

function toFile(value: unknown, name: string, label: string): SnapshotFile {
  if (isRecord(value)) {
    const { database, file, sizeBytes, sha256, compressed, rows, migrations } = value;
    const isWhole = typeof database === "string" && /^\w+$/.test(database) &&
      typeof compressed === "boolean" &&
      // Never a path: the file is beside the manifest, under the one name that it may have.
      file === databaseFile(database, name, compressed) && typeof sizeBytes === "number" &&
      (sha256 === null || typeof sha256 === "string") && isCounts(rows) && isTexts(migrations);
    if (isWhole) return { database, file, sizeBytes, sha256, compressed, rows, migrations };
  }
  throw damaged(label, "a file is described wrongly");
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

/** SHA-256 of a text in hexadecimal. */
export async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

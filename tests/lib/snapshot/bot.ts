/** Helpers for snapshot tests: a bot with rows, snapshots without databases, a small disk. */
import assert from "node:assert/strict";
import { createCatalystMigrator } from "../../../lib/catalyst.ts";
import type { Migrator } from "../../../lib/migrator.ts";
import {
  type Manifest,
  serializeManifest,
  type SnapshotFile,
  type SnapshotReason,
} from "../../../lib/snapshot/manifest.ts";
import { databaseFile, manifestFile, snapshotName } from "../../../lib/snapshot/names.ts";
import { type Content, contentOf, copyUpgraded, databaseNames } from "../../helpers.ts";
import { fillBot, TemporaryDirectory } from "../support.ts";

/**
 * A directory with the bot's databases, which hold rows, and a migrator that copies on this thread.
 */
export class Bot extends TemporaryDirectory {
  readonly migrator: Migrator = this.migratorWith();

  /** Creates the databases with this many rows of each kind. */
  static async create(rows = 20): Promise<Bot> {
    const bot = new Bot();
    await copyUpgraded(bot.path);
    if (rows > 0) fillBot(bot, rows);
    return bot;
  }

  /** Directory of the snapshots. */
  get backups(): string {
    return this.file("backups");
  }

  /** A migrator of these databases with different options. */
  migratorWith(options: { timeout?: number; alone?: boolean } = {}): Migrator {
    return createCatalystMigrator({ dataDir: this.path, alone: true, timeout: 5, ...options });
  }

  /** Names of the files in the directory of the snapshots, without its lock. */
  backupFiles(): string[] {
    return filesOf(this.backups);
  }

  /** Content of the three databases. */
  contents(): Record<string, Content> {
    return Object.fromEntries(
      databaseNames.map((name) => [name, contentOf(this.file(`${name}.db`))]),
    );
  }
}

/** Names of the files in a directory of snapshots, without its lock. */
export function filesOf(directory: string): string[] {
  return [...Deno.readDirSync(directory)].map(({ name }) => name)
    .filter((name) => name !== "backups.lock").toSorted();
}

/** A snapshot that consists of a manifest and files of one byte. */
export interface FakeSnapshot {
  readonly createdAt: number;
  readonly attempt?: number;
  readonly reason?: SnapshotReason;
  /** Its databases. Default `positions`. */
  readonly databases?: readonly string[];
  /** Whether its files exist. Default `true`. */
  readonly isWhole?: boolean;
}

/** Writes an imitation of a snapshot to a directory; returns its name. */
export async function writeFake(directory: string, fake: FakeSnapshot): Promise<string> {
  const { createdAt, attempt = 1, reason = "manual", isWhole = true } = fake;
  const { databases = ["positions"] } = fake;
  const name = snapshotName(createdAt, attempt);
  const files = databases.map((database) => fileOf(database, name));
  const manifest = manifestOf({ name, createdAt, reason, files });
  Deno.mkdirSync(directory, { recursive: true });
  if (isWhole) {
    for (const { file } of files) {
      Deno.writeTextFileSync(`${directory}/${file}`, "x");
    }
  }
  Deno.writeTextFileSync(`${directory}/${manifestFile(name)}`, await serializeManifest(manifest));
  return name;
}

/** A manifest of one file of one byte, with some parts replaced. */
export function manifestOf(parts: Partial<Manifest> = {}): Manifest {
  const name = parts.name ?? "20250120_123000";
  return {
    name,
    createdAt: 1_737_376_200,
    reason: "manual",
    toolkitVersion: "0.1.0",
    sqliteVersion: "3.53.2",
    verified: "quick",
    heldSeconds: 0.001,
    files: [fileOf("positions", name)],
    ...parts,
  };
}

function fileOf(database: string, name: string): SnapshotFile {
  return {
    database,
    file: databaseFile(database, name, false),
    sizeBytes: 1,
    sha256: "ab".repeat(32),
    compressed: false,
    rows: { positions: 1 },
    migrations: ["001"],
  };
}

/** A separate disk of a few kibibytes. */
export class SmallDisk implements Disposable {
  readonly path: string = Deno.makeTempDirSync({ prefix: "catalyst-" });

  constructor(kibibytes: number) {
    try {
      run("mount", ["-t", "tmpfs", "-o", `size=${kibibytes}k`, "tmpfs", this.path]);
    } catch (error) {
      Deno.removeSync(this.path);
      throw error;
    }
  }

  [Symbol.dispose](): void {
    run("umount", [this.path]);
    Deno.removeSync(this.path);
  }
}

/** Why {@link SmallDisk} can't be used here; `null` if it can. */
export function reasonForNoDisk(): string | null {
  try {
    new SmallDisk(100)[Symbol.dispose]();
    return null;
  } catch {
    return "no permission to mount a file system";
  }
}

/** Overwrites whole pages of a database file with invalid bytes. */
export function damagePages(path: string, ...pages: readonly number[]): void {
  using file = Deno.openSync(path, { write: true });
  for (const page of pages) {
    file.seekSync((page - 1) * 4096, Deno.SeekMode.Start);
    assert.equal(file.writeSync(new Uint8Array(4096).fill(255)), 4096);
  }
}

function run(command: string, args: string[]): void {
  const { success, stderr } = new Deno.Command(command, { args }).outputSync();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

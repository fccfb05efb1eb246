import { LEDGER } from "../state/workspace.ts";
import { type Connection, number } from "../database/connection.ts";
import type { Session } from "../engine/session.ts";
import type { Workspace } from "../state/workspace.ts";
import { type BeforeOptions, createSnapshot, mayCopy, snapshotBefore } from "./mod.ts";
import { readManifest } from "./store.ts";

/** Names of the snapshots that a command took before it changed something. */
export interface TakenSnapshots {
  /** Name of the snapshot that was taken before; null where no rows were at stake. */
  readonly snapshot: string | null;
  /**
   * Names of those that were taken after it, each of one database that others had written to, before
   * rows of it went; absent where there are none.
   */
  readonly laterSnapshots?: readonly string[];
}

/**
 * The automatic snapshots of one command. The first is taken while others may write. Where they have
 * written until rows of a database are about to go, that database is copied once more, now while
 * nobody can: what is committed until then is in a snapshot, and what comes after it in the database.
 */
export class Safeguard {
  readonly #workspace: Workspace;
  readonly #options: BeforeOptions;
  /** What SQLite said before the newest copy of each database that can be copied. */
  readonly #versions = new Map<string, number>();
  readonly #later: { readonly database: string; readonly name: string }[] = [];
  #first: string | null = null;
  #hasChanged = false;

  private constructor(workspace: Workspace, options: BeforeOptions) {
    this.#workspace = workspace;
    this.#options = options;
  }

  /** Takes the first snapshot, of those of the databases that hold rows. */
  static async begin(
    workspace: Workspace,
    session: Session,
    options: BeforeOptions,
  ): Promise<Safeguard> {
    const safeguard = new Safeguard(workspace, options);
    for (const database of options.databases) {
      if (!mayCopy(workspace, database)) continue;
      const connection = await session.database(database);
      safeguard.#versions.set(database, await versionOf(connection));
    }
    safeguard.#first = await snapshotBefore(workspace, session, options);
    return safeguard;
  }

  /** Names of the snapshots. */
  get taken(): TakenSnapshots {
    const laterSnapshots = this.#later.map(({ name }) => name);
    return { snapshot: this.#first, ...(laterSnapshots.length === 0 ? {} : { laterSnapshots }) };
  }

  /** Name of the newest snapshot for a database. */
  nameFor(database: string): string | null {
    return this.#later.findLast((one) => one.database === database)?.name ?? this.#first;
  }

  /** Told when a migration is committed. */
  recordChange(): void {
    this.#hasChanged = true;
  }

  /**
   * Copies a database again where others have written to it since it was copied. Called inside a
   * `BEGIN IMMEDIATE` transaction of the session's own connection, before rows go, or in WAL mode
   * before the commit: what is copied is what was committed. With a rollback journal it is before
   * anything is written, since from then on SQLite may let nobody read.
   */
  async secure(connection: Connection, database: string): Promise<void> {
    const former = this.#versions.get(database);
    const version = await versionOf(connection);
    if (former === undefined || version === former) return;
    const options = { ...this.#options, databases: [database], held: [database] };
    const { name } = await createSnapshot(this.#workspace, options, "automatic");
    this.#versions.set(database, version);
    if (await this.#isSuperseded(database)) this.#first = name;
    else this.#later.push({ database, name });
  }

  /** Whether the first one has nothing else, and is of the same state; it then stays unnamed. */
  async #isSuperseded(database: string): Promise<boolean> {
    if (this.#first === null) return true;
    if (this.#hasChanged) return false;
    const { files } = await readManifest(this.#workspace.backups, this.#first);
    return files.every((file) => file.database === database || file.database === LEDGER);
  }
}

/**
 * A number that is another one for a connection when others have committed, and the same after its own
 * commits.
 */
export async function versionOf(connection: Connection): Promise<number> {
  const row = await connection.get("PRAGMA main.data_version");
  return row === undefined ? 0 : number(row, "data_version");
}

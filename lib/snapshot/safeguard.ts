/**
 * Takes the automatic snapshots before databases are changed.
 *
 * @module
 */
import { type Connection, readPragma } from "../database/connection.ts";
import { isForeign } from "../database/location.ts";
import type { Session } from "../engine/session.ts";
import { usersTables } from "../schema/tables.ts";
import { quoteName } from "../sql/tokens.ts";
import { LEDGER, locationOf, type Workspace } from "../state/workspace.ts";
import { createSnapshot, type SnapshotOptions } from "./mod.ts";
import { prune } from "./prune.ts";
import { readManifest } from "./store.ts";

/** How many automatic snapshots of each database to keep. */
const AUTOMATIC_KEPT = 10;

/** The databases about to be changed. */
export interface BeforeOptions extends Pick<SnapshotOptions, "onProgress" | "signal"> {
  /** Names of the databases. */
  readonly databases: readonly string[];
}

/**
 * Takes a snapshot of those databases that hold rows, before they are changed, and removes old
 * automatic ones. Null if none holds rows.
 */
export async function snapshotBefore(
  workspace: Workspace,
  session: Session,
  { databases, ...control }: BeforeOptions,
): Promise<string | null> {
  const holding: string[] = [];
  for (const database of databases) {
    // Refuses a transaction that the caller has open, which a snapshot would wait for.
    const connection = await session.database(database);
    if (mayCopy(workspace, database) && await hasAnyRow(connection)) holding.push(database);
  }
  if (holding.length === 0) return null;
  const { name } = await createSnapshot(
    workspace,
    { ...control, databases: holding },
    "automatic",
  );
  await prune(workspace.backups, workspace.timeout, {
    retention: { keep: AUTOMATIC_KEPT },
    reason: "automatic",
  });
  return name;
}

/**
 * A database in memory has no file. One that is open through another SQLite library in this process
 * must not be opened by this one: closing it would drop the other library's locks.
 */
function mayCopy(workspace: Workspace, database: string): boolean {
  const location = locationOf(workspace, database);
  return location.path !== ":memory:" && !isForeign(location);
}

async function hasAnyRow(connection: Connection): Promise<boolean> {
  for (const { name, type } of await usersTables(connection)) {
    // Only its module knows where a virtual table keeps its rows.
    if (type === "virtual") return true;
    const row = await connection.get(`SELECT 1 FROM main.${quoteName(name)} LIMIT 1`);
    if (row !== undefined) return true;
  }
  return false;
}

/** Names of the snapshots that a command took before changing something. */
export interface TakenSnapshots {
  /** Name of the snapshot taken before the change; null if no rows were at stake. */
  readonly snapshot: string | null;
  /**
   * Names of later snapshots, each of one database that others wrote to before rows of it were
   * removed; absent if there are none.
   */
  readonly laterSnapshots?: readonly string[];
}

/**
 * The automatic snapshots of one command. The first is taken while others may write. If they write
 * before rows of a database are removed, that database is copied again while it is locked.
 * Everything committed before is then in a snapshot, and everything after in the database.
 */
export class Safeguard {
  readonly #workspace: Workspace;
  readonly #options: BeforeOptions;
  /** SQLite's data version before the newest copy of each database that can be copied. */
  readonly #versions = new Map<string, number>();
  readonly #later: { readonly database: string; readonly name: string }[] = [];
  #first: string | null = null;
  #hasChanged = false;

  private constructor(workspace: Workspace, options: BeforeOptions) {
    this.#workspace = workspace;
    this.#options = options;
  }

  /** Takes the first snapshot, of the databases that hold rows. */
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

  /** Names of the snapshots taken. */
  get taken(): TakenSnapshots {
    const laterSnapshots = this.#later.map(({ name }) => name);
    return { snapshot: this.#first, ...(laterSnapshots.length === 0 ? {} : { laterSnapshots }) };
  }

  /** Name of the newest snapshot for a database. */
  nameFor(database: string): string | null {
    return this.#later.findLast((one) => one.database === database)?.name ?? this.#first;
  }

  /** Called when a migration is committed. */
  recordChange(): void {
    this.#hasChanged = true;
  }

  /**
   * Copies a database again if others have written to it since it was copied. Call it inside a
   * `BEGIN IMMEDIATE` transaction of the session's connection, before rows are removed, or in WAL
   * mode before the commit: the copy has the committed state. With a rollback journal call it
   * before anything is written, because SQLite may block readers from then on.
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

  /**
   * Whether the first snapshot contains only this database in the same state; it is then not
   * reported.
   */
  async #isSuperseded(database: string): Promise<boolean> {
    if (this.#first === null) return true;
    if (this.#hasChanged) return false;
    const { files } = await readManifest(this.#workspace.backups, this.#first);
    return files.every((file) => file.database === database || file.database === LEDGER);
  }
}

/**
 * A number that changes for a connection when others commit, but not with its own commits.
 */
export async function versionOf(connection: Connection): Promise<number> {
  return Number(await readPragma(connection, "main.data_version"));
}

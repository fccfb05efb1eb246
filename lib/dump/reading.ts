import type { Connection } from "../database/connection.ts";
import { type DatabaseLocation, isForeign, statDatabase } from "../database/location.ts";
import { openForWriting } from "../database/open.ts";
import { openForReading } from "../database/reading.ts";
import type { ConnectionSettings } from "../database/settings.ts";
import { beginReading, withTransaction } from "../database/transaction.ts";
import { AccessError, DatabaseLockedError, LocationError } from "../base/errors.ts";
import { type Catalog, readCatalog } from "./catalog.ts";
import { Crew } from "./workers.ts";

/** A database of one moment, whatever is written to it meanwhile. */
export interface Reading extends AsyncDisposable {
  readonly connection: Connection;
  readonly catalog: Catalog;
  /** Threads that see the same moment; null where it is read on this one alone. */
  readonly crew: Crew | null;
}

/** Bytes of a database for which threads are worth their start. */
const WORTH_THREADS = 32e6;

/** Threads at most; each takes about 50 MB of memory. */
const MOST_THREADS = 3;

/** Seconds to wait for the moment in which nobody writes; it can be done without. */
const PATIENCE = 2;

/** Opens a database to be read as it is now. It writes nothing; a program may go on writing. */
export async function openReading(
  location: DatabaseLocation,
  settings: ConnectionSettings,
): Promise<Reading> {
  const { exists, sizeBytes } = statDatabase(location);
  if (!exists) {
    throw new LocationError(`Cannot export ${location.path}: there is no such database`, {
      help: "`status` shows where the databases are; `upgrade` creates them",
    });
  }
  await using opened = new AsyncDisposableStack();
  const connection = opened.use(await openForReading(fileOf(location), settings));
  const isWorthThreads = connection.label !== ":memory:" && (sizeBytes ?? 0) >= WORTH_THREADS;
  const crew = isWorthThreads ? await beginTogether(connection, settings) : null;
  if (crew !== null) opened.use(crew);
  // A caller's own transaction stays as it is.
  else if (!connection.inTransaction) {
    await beginReading(connection);
    // A caller's connection stays open; and what the caller has written by it meanwhile is to be kept.
    opened.defer(async () => {
      if (connection.inTransaction) await connection.exec("COMMIT");
    });
  }
  const catalog = await readCatalog(connection);
  const kept = opened.move();
  return { connection, catalog, crew, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/**
 * A database that the caller has open through our own SQLite is opened once more, so that the caller's
 * connection stays free; one in memory, or open through another library, can only be read by it.
 */
function fileOf(location: DatabaseLocation): DatabaseLocation {
  if (location.kind === "file" || location.path === ":memory:") return location;
  return isForeign(location) ? location : { kind: "file", path: location.path };
}

/**
 * Begins the read transactions of this connection and of a crew while nobody can write, which takes
 * milliseconds. Null, and nothing begun, where that can't be had.
 */
async function beginTogether(
  connection: Connection,
  settings: ConnectionSettings,
): Promise<Crew | null> {
  const crew = Crew.start(connection.label, Math.min(navigator.hardwareConcurrency, MOST_THREADS));
  if (crew === null) return null;
  try {
    await crew.open();
    await using writer = await openForWriting(
      { kind: "file", path: connection.label },
      { ...settings, busyTimeout: PATIENCE },
    );
    await withTransaction(writer, async () => {
      await Promise.all([beginReading(connection), crew.begin()]);
    }, { timeout: PATIENCE });
    return crew;
  } catch (error) {
    await crew[Symbol.asyncDispose]();
    if (connection.inTransaction) await connection.exec("ROLLBACK");
    if (error instanceof AccessError || error instanceof DatabaseLockedError) return null;
    throw error;
  }
}

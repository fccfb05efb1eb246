import { AccessError } from "../base/errors.ts";
import { denied } from "../base/paths.ts";
import type { Connection, ConnectionSettings, CopyOptions } from "./connection.ts";
import type { ServerLocation } from "./location.ts";
import { openServer } from "./open.ts";

/** A temporary file that is removed when it is disposed of. */
export interface TemporaryCopy extends AsyncDisposable {
  /** Its path. */
  readonly path: string;
}

/** Copies a database on a server into a temporary file. */
export async function copyServer(
  location: ServerLocation,
  settings: ConnectionSettings,
): Promise<TemporaryCopy> {
  await using connection = await openServer(location, settings);
  return await temporaryCopy(connection);
}

/** Copies a database into a temporary file; copies what an open transaction of the connection sees. */
export async function temporaryCopy(
  connection: Connection,
  options: CopyOptions = {},
): Promise<TemporaryCopy> {
  const directory = await makeTemporaryDirectory(connection.label);
  const remove = () => Deno.remove(directory, { recursive: true });
  try {
    const path = `${directory}/copy.db`;
    await connection.copyTo(path, options);
    return { path, [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function makeTemporaryDirectory(label: string): Promise<string> {
  try {
    return await Deno.makeTempDir({ prefix: "catalyst-migrate-" });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const help = "check the directory for temporary files";
    const { reason, help: next } = error instanceof Deno.errors.NotCapable
      ? denied(message, `${help}; it needs write permission`)
      : { reason: message, help };
    throw new AccessError(`Cannot copy ${label} into a temporary file: ${reason}`, {
      cause: error,
      help: next,
    });
  }
}

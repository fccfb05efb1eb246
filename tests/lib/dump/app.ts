/** A database of any name and schema, for export and import. */
import { join } from "node:path";
import { Migrator } from "../../../lib/migrator.ts";

/** A migrator of one database without migrations, in a directory. */
export function appIn(directory: string): { readonly migrator: Migrator; readonly path: string } {
  const path = join(directory, "app.db");
  const ledger = join(directory, "migrations.db");
  return { path, migrator: new Migrator({ databases: { app: path }, ledger, migrations: [] }) };
}

/** The whole stream, as text. */
export async function textOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string> {
  return await new Response(stream).text();
}

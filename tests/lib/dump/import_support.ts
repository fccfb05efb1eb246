/** Helpers for tests of importing dumps: a program's own database, and dumps as streams. */
import assert from "node:assert/strict";
import { join } from "node:path";
import type { ImportOptions, ImportResult } from "../../../lib/dump/import.ts";
import { DumpError } from "../../../lib/base/errors.ts";
import { defineMigration } from "../../../lib/migration/migration.ts";
import { Migrator } from "../../../lib/migrator.ts";
import { existsSync, type PlainRow, query, tempDir } from "../../helpers.ts";

/** A directory with a database `app` to import into. */
export interface App extends AsyncDisposable {
  readonly directory: string;
  readonly migrator: Migrator;
  /** Path of the database. */
  readonly path: string;
  /** Imports a dump's text, with confirmation. */
  import(dump: string | Uint8Array, options?: Partial<ImportOptions>): Promise<ImportResult>;
  /** Imports an invalid dump, and checks that nothing was changed. */
  refuse(dump: string | Uint8Array, options?: Partial<ImportOptions>): Promise<DumpError>;
  /** Reads from the database. */
  query(sql: string): PlainRow[];
}

/** Makes an {@link App}. */
export async function makeApp(): Promise<App> {
  const dir = await tempDir();
  const path = join(dir.path, "app.db");
  const migrator = new Migrator({
    databases: { app: path },
    ledger: join(dir.path, "migrations.db"),
    migrations: [
      defineMigration({
        name: "001_create_notes",
        database: "app",
        upgrade: "CREATE TABLE notes (note_id INTEGER PRIMARY KEY, body TEXT NOT NULL UNIQUE)",
        downgrade: "DROP TABLE notes",
      }),
    ],
    timeout: 2,
  });
  const importText = (dump: string | Uint8Array, options: Partial<ImportOptions> = {}) =>
    migrator.importDump(streamOf(dump), {
      database: "app",
      label: "dump.sql",
      confirm: () => true,
      ...options,
    });
  return {
    directory: dir.path,
    migrator,
    path,
    import: importText,
    query: (sql) => query(path, sql),
    async refuse(dump, options) {
      const before = stateOf(path);
      const error = await importText(dump, options).then(
        () => assert.fail(`it was imported: ${JSON.stringify(dump).slice(0, 200)}`),
        (error: unknown) => error,
      );
      assert(error instanceof DumpError, String(error));
      assert.match(error.message, /^Cannot import dump\.sql: /);
      assert.match(error.help ?? "", /nothing was changed/);
      assert.deepEqual(stateOf(path), before);
      assert.deepEqual(leftovers(dir.path), []);
      return error;
    },
    [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose](),
  };
}

/** A dump as a stream, in chunks that cut it anywhere. */
export function streamOf(dump: string | Uint8Array, size = 7001): ReadableStream<Uint8Array> {
  const bytes = typeof dump === "string" ? new TextEncoder().encode(dump) : dump;
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(at, at + size));
      at += size;
    },
  });
}

/** Remaining files of an unfinished import. */
export function leftovers(directory: string): string[] {
  return [...Deno.readDirSync(directory)].map(({ name }) => name)
    .filter((name) => /\.part|\.restore/.test(name));
}

/** The content of a database file, read without changing it; null if it does not exist. */
function stateOf(path: string): unknown {
  if (!existsSync(path)) return null;
  const tables = query(path, "SELECT name FROM pragma_table_list WHERE type = 'table'");
  return [
    query(path, "SELECT type, name, sql FROM sqlite_schema"),
    query(path, "PRAGMA user_version"),
    tables.map(({ name }) => query(path, `SELECT * FROM "${String(name).replaceAll('"', '""')}"`)),
  ];
}

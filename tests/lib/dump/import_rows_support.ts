/** Helpers for tests of importing rows: a database to import into, and files of rows as streams. */
import assert from "node:assert/strict";
import {
  CatalystError,
  type ImportRowsOptions,
  type ImportRowsResult,
  Migrator,
} from "../../../mod.ts";
import { execute, type TempDir, tempDir } from "../../helpers.ts";

/** A migrator of one database, `app`, created by a script. */
export async function appWith(
  sql: string,
): Promise<{ dir: TempDir; path: string; migrator: Migrator }> {
  const dir = await tempDir();
  const path = `${dir.path}/app.db`;
  execute(path, sql);
  const ledger = `${dir.path}/migrations.db`;
  return {
    dir,
    path,
    migrator: new Migrator({ databases: { app: path }, ledger, migrations: [] }),
  };
}

/** Bytes as a stream of chunks with the given sizes, used in turn. */
export function streamOf(
  bytes: Uint8Array,
  sizes: readonly number[] = [65536],
): ReadableStream<Uint8Array> {
  const chunks = function* () {
    for (let at = 0, count = 0; at < bytes.length; count++) {
      const size = sizes[count % sizes.length] ?? 1;
      yield bytes.slice(at, at + size);
      at += size;
    }
  };
  return ReadableStream.from(chunks());
}

/** A text in UTF-8. */
export const bytesOf = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

/** Bytes, compressed. */
export async function gzip(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const packed = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(packed).arrayBuffer());
}

/** Options of an import in a test. */
export type Given = Partial<ImportRowsOptions>;

/** Imports a text into table `t` of `app`. */
export function importText(
  migrator: Migrator,
  text: string,
  given: Given = {},
): Promise<ImportRowsResult> {
  return migrator.importRows(streamOf(bytesOf(text)), {
    database: "app",
    table: "t",
    format: "csv",
    label: "rows.csv",
    ...given,
  });
}

/** The error of an import that must fail. */
export async function failureOf(work: Promise<unknown>): Promise<CatalystError> {
  const error = await work.then(() => null, (error) => error);
  assert(error instanceof CatalystError, String(error));
  return error;
}

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import {
  CatalystError,
  DatabaseLockedError,
  DiskFullError,
  serializeError,
  SnapshotError,
  UnrecordedError,
} from "../../../lib/base/errors.ts";
import { createCatalystMigrator } from "../../../lib/catalyst.ts";
import type { Migrator } from "../../../lib/migrator.ts";
import { errorAfterBeginning } from "../../../lib/snapshot/journal.ts";
import { execute, query, type TempDir, tempDir } from "../../helpers.ts";

async function bot(dir: TempDir): Promise<Migrator> {
  const migrator = createCatalystMigrator({ dataDir: dir.path, timeout: 0.1 });
  await migrator.upgrade();
  execute(dir.database("trading"), "CREATE TABLE memo (a)");
  return migrator;
}

function rowsOf(dir: TempDir): number {
  return query(dir.database("trading"), "SELECT a FROM memo").length;
}

/** Prevents others from writing to the ledger. */
function lockLedger(dir: TempDir): DatabaseSync {
  const ledger = new DatabaseSync(dir.database("migrations"));
  ledger.exec("BEGIN IMMEDIATE");
  return ledger;
}

const ROWS = { database: "trading", table: "memo", format: "csv", backup: false } as const;

function text(content: string): ReadableStream<Uint8Array> {
  return new Blob([content]).stream();
}

Deno.test("nothing is imported if the ledger cannot be written", async () => {
  await using dir = await tempDir();
  const migrator = await bot(dir);
  using _ledger = lockLedger(dir);
  await assert.rejects(migrator.importRows(text("a\n1\n"), ROWS), DatabaseLockedError);
  const options = { database: "trading", intoExisting: true, backup: false } as const;
  const dump = text("INSERT INTO memo VALUES (1);");
  await assert.rejects(migrator.importDump(dump, options), DatabaseLockedError);
  assert.equal(rowsOf(dir), 0);
});

Deno.test("imported rows are reported as such if the ledger cannot be written afterwards", async () => {
  await using dir = await tempDir();
  const migrator = await bot(dir);
  let ledger: DatabaseSync | null = null;
  await assert.rejects(
    migrator.importRows(text("a\n1\n2\n"), {
      ...ROWS,
      onProgress: () => ledger ??= lockLedger(dir),
    }),
    (error) =>
      error instanceof UnrecordedError &&
      /^Imported 2 rows into trading, but /.test(error.message) &&
      error.help?.includes("running the command again would add them twice") === true,
  );
  (ledger as DatabaseSync | null)?.close();
  assert.equal(rowsOf(dir), 2);
  await migrator.importRows(text("a\n3\n"), ROWS);
  const events = query(
    dir.database("migrations"),
    "SELECT outcome FROM migration_events WHERE direction = 'import' ORDER BY event_id",
  );
  assert.deepEqual(events.map(({ outcome }) => outcome), ["started", "started", "applied"]);
});

Deno.test("after any failure of a started restore, the message says so and how to continue", () => {
  const errors = [
    new Error("Input/output error (os error 5)"),
    new Deno.errors.PermissionDenied("no"),
    new Error("No space left on device (os error 28)"),
    new Error("Too many open files (os error 24)"),
    new DiskFullError("Cannot write: full", { help: "free some space" }),
    new DatabaseLockedError("Cannot change it: locked", { help: "stop it" }),
    new TypeError("surprise"),
  ];
  for (const error of errors) {
    const told = errorAfterBeginning(error);
    assert.ok(told instanceof CatalystError);
    assert.match(told.help ?? "", /the restore has begun: .*`upgrade`; it finishes the restore/s);
  }
  const gone = new SnapshotError("Cannot restore it: it is gone", { help: "put the file back" });
  assert.equal(errorAfterBeginning(gone), gone);
});

Deno.test("an error while closing does not hide the first error", () => {
  const first = new DiskFullError("Cannot write it: the disk is full");
  const hidden = new SuppressedError(new Error("close"), first);
  assert.equal(serializeError(hidden).code, "DISK_FULL");
});

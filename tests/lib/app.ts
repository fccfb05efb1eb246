import type { Migration } from "../../lib/migration.ts";
import { Migrator } from "../../lib/migrator.ts";
import type { TemporaryDirectory } from "./support.ts";

/** A migrator of one database, `app`, in a directory. */
export function appMigrator(
  directory: TemporaryDirectory,
  migrations: readonly Migration[],
): Migrator {
  return new Migrator({
    databases: { app: directory.file("app.db") },
    ledger: directory.file("migrations.db"),
    migrations,
  });
}

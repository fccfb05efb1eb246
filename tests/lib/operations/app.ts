import type { Migration } from "../../../lib/migration/migration.ts";
import { Migrator } from "../../../lib/migrator.ts";

/** A migrator of one database, `app`, in a directory. */
export function appMigrator(
  { path }: { readonly path: string },
  migrations: readonly Migration[],
): Migrator {
  return new Migrator({
    databases: { app: `${path}/app.db` },
    ledger: `${path}/migrations.db`,
    migrations,
  });
}

/**
 * Creates the databases as if every migration of a directory were applied: `mark_files.ts DATA DIRECTORY`.
 * Applying them is slow and is measured elsewhere.
 */
import { openCatalystMigrator } from "../../lib/catalyst.ts";
import { openForWriting } from "../../lib/database/open.ts";
import { locate } from "../../lib/database/location.ts";
import { readMigrations } from "../../lib/migration/loader.ts";
import { writeMarker } from "../../lib/state/marker.ts";
import { checksumOf } from "../../lib/migration/migration.ts";

const [dataDir = "", migrationsDir = ""] = Deno.args;
const migrator = await openCatalystMigrator({ dataDir, migrationsDir });
await migrator.upgrade({ to: "003" });
{
  await using trading = await openForWriting(locate(`${dataDir}/trading.db`));
  await trading.exec("BEGIN");
  for (const migration of await readMigrations(migrationsDir)) {
    const checksum = await checksumOf(migration.upgrade);
    await writeMarker(trading, migration, { appliedAt: 0, durationSeconds: 0, checksum });
  }
  await trading.exec("COMMIT");
}
await migrator.upgrade(); // records them in the ledger

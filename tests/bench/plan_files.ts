/** Loads, checks and plans the migrations of a directory: `plan_files.ts DATA DIRECTORY`. */
import { openCatalystMigrator } from "../../lib/catalyst.ts";

const [dataDir = "", migrationsDir = ""] = Deno.args;
const migrator = await openCatalystMigrator({ dataDir, migrationsDir, alone: true });
await migrator.planUpgrade();

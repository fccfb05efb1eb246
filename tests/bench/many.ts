/** Applies generated migrations with the library: `many.ts COUNT DIRECTORY`. */
import { Migrator } from "../../mod.ts";
import { generatedMigrations } from "./generated.ts";

const [count, directory] = Deno.args;
const migrator = new Migrator({
  databases: { main: `${directory}/main.db` },
  ledger: `${directory}/migrations.db`,
  migrations: generatedMigrations(Number(count)),
});
await migrator.upgrade();

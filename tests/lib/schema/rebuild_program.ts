/** Rebuilds the table of the database in a directory, in a process that a test can kill. */
import { defineMigration } from "../../../lib/migration/migration.ts";
import { Migrator } from "../../../lib/migrator.ts";
import { rebuildTable } from "../../../lib/schema/rebuild_table.ts";

const [directory] = Deno.args;
await new Migrator({
  databases: { app: `${directory}/app.db` },
  ledger: `${directory}/migrations.db`,
  migrations: [
    defineMigration({
      name: "1_rebuild",
      database: "app",
      foreignKeys: false,
      upgrade: async (transaction) => {
        Deno.stdout.writeSync(new Uint8Array([1]));
        await rebuildTable(transaction, "orders", {
          changeColumns: { quantity: "INTEGER NOT NULL CHECK (quantity >= 0)" },
        });
      },
    }),
  ],
}).upgrade();

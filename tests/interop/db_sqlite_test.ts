/**
 * The tests of an open database with the real `jsr:@db/sqlite`: `CATALYST_INTEROP=1 deno test -A tests/interop`.
 *
 * Enabled by a variable, because it downloads the package and its SQLite, needs FFI, and changes
 * `deno.lock`. Other tests run the same cases with a stand-in.
 */
import assert from "node:assert/strict";
import { Migrator } from "../../lib/migrator.ts";
import { type DriverDatabase, testDriver } from "../lib/database/db_sqlite_cases.ts";
import { migrationOf, TemporaryDirectory } from "../lib/support.ts";

// Built at run time, so that neither `deno check` nor an ordinary test run resolves it.
const specifier = ["jsr:", "@db/sqlite@0.13"].join("");
const isAskedFor = Deno.env.get("CATALYST_INTEROP") === "1";

interface DriverModule {
  readonly Database: new (path: string) => DriverDatabase;
}

if (isAskedFor) {
  const { Database }: DriverModule = await import(specifier);
  const open = (path: string) => new Database(path);
  testDriver({ name: specifier, open });

  Deno.test(`${specifier}: another process sees exactly the committed data`, async () => {
    using place = new TemporaryDirectory();
    const path = place.file("app.db");
    const db = open(path);
    try {
      const look = async () => {
        const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
          args: [
            "eval",
            `import { DatabaseSync } from "node:sqlite";
            const db = new DatabaseSync(${JSON.stringify(path)}, { timeout: 0 });
            console.log(db.prepare("SELECT count(*) AS n FROM orders").get().n);
            try { db.exec("BEGIN IMMEDIATE"); console.log("free"); } catch { console.log("locked"); }`,
          ],
          env: { NO_COLOR: "1" },
        }).output();
        const decoder = new TextDecoder();
        return decoder.decode(stdout) || decoder.decode(stderr);
      };
      const seen: string[] = [];
      const migrator = new Migrator({
        databases: { app: db },
        ledger: place.file("migrations.db"),
        migrations: [
          migrationOf({ name: "001_orders", upgrade: "CREATE TABLE orders (id INTEGER)" }),
          migrationOf({
            name: "002_fill",
            upgrade: async (transaction) => {
              await transaction.run("INSERT INTO orders VALUES (1)");
              seen.push(await look());
            },
          }),
        ],
      });
      await migrator.upgrade();
      seen.push(await look());
      assert.deepEqual(seen, ["0\nlocked\n", "1\nfree\n"]);
    } finally {
      db.close();
    }
  });
} else {
  Deno.test("an open database, with the real driver (skipped: set CATALYST_INTEROP=1)", {
    ignore: true,
  }, () => {});
}

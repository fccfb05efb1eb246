/** Helpers for rehearsal tests: a database with orders and fills. */
import { appMigrator } from "../operations/app.ts";
import { execute, migrationOf, TemporaryDirectory } from "../support.ts";

/** The migration that creates both tables. */
export const first = migrationOf({
  name: "001_create",
  upgrade: `CREATE TABLE orders (
      order_id INTEGER PRIMARY KEY,
      side TEXT NOT NULL,
      price REAL,
      note BLOB
    );
    CREATE TABLE fills (
      fill_id INTEGER PRIMARY KEY,
      order_id INTEGER REFERENCES orders (order_id) ON DELETE CASCADE
    );`,
  downgrade: "DROP TABLE fills; DROP TABLE orders;",
});

/** A directory with a database of ten orders, each with a fill. */
export async function makeApp(): Promise<TemporaryDirectory> {
  const directory = new TemporaryDirectory();
  await appMigrator(directory, [first]).upgrade();
  execute(
    directory.file("app.db"),
    `WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 10)
    INSERT INTO orders SELECT n, iif(n % 2, 'BUY', 'SELL'), n / 4.0, x'0001' FROM n;
    INSERT INTO fills SELECT order_id, order_id FROM orders;`,
  );
  return directory;
}

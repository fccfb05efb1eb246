import assert from "node:assert/strict";
import { defineMigration, type MigrationBody } from "../../../lib/migration/migration.ts";
import {
  buildMigratedSchema,
  buildMigratedSchemaSteps,
} from "../../../lib/schema/migrated_schema.ts";
import { SAMPLE, schemaOf } from "./sample.ts";

const migration = (name: string, upgrade: MigrationBody) =>
  defineMigration({ name, database: "trading", upgrade });

Deno.test("the migrated schema is the schema after all migrations, in SQL and functions", async () => {
  const found = await buildMigratedSchema([
    migration("001_first", SAMPLE),
    migration("002_second", async (transaction) => {
      await transaction.exec("CREATE TABLE notes (a TEXT); CREATE INDEX idx_notes ON notes (a)");
      await transaction.run("INSERT INTO notes VALUES (?)", [transaction.database]);
      const [row] = await transaction.all("SELECT a FROM notes");
      assert.equal(row?.["a"], "trading");
    }),
  ]);
  assert.ok(found.known);
  assert.deepEqual(
    found.schema,
    await schemaOf(`${SAMPLE} CREATE TABLE notes (a TEXT); CREATE INDEX idx_notes ON notes (a)`),
  );
});

Deno.test("the steps contain the schema after each migration and the objects that it created", async () => {
  const found = await buildMigratedSchemaSteps([
    migration("001_first", "CREATE TABLE a (x); CREATE TABLE b (x)"),
    migration("002_second", "ALTER TABLE a ADD COLUMN y; CREATE INDEX i ON b (x)"),
    migration("003_third", "DROP TABLE b; CREATE VIEW v AS SELECT x, y FROM a"),
  ]);
  assert.ok(found.known);
  const names = (objects: readonly { name: string }[]) => objects.map((object) => object.name);
  assert.deepEqual(
    found.steps.map(({ migration, schema, made }) => [
      migration.id,
      names(schema.tables),
      names([...made.tables, ...made.indexes, ...made.views]),
    ]),
    [["001", ["a", "b"], ["a", "b"]], ["002", ["a", "b"], ["a", "i"]], ["003", ["a"], ["v"]]],
  );
  assert.equal(found.steps[1]?.schema.tables[0]?.columns.length, 2);
});

Deno.test("foreign keys do not prevent building the schema", async () => {
  const found = await buildMigratedSchema([
    migration(
      "001_first",
      `CREATE TABLE child (p INT REFERENCES parent (id)); INSERT INTO child VALUES (1);
       CREATE TABLE parent (id INTEGER PRIMARY KEY); DROP TABLE parent`,
    ),
  ]);
  assert.ok(found.known);
});

Deno.test("a migration that cannot run without rows makes the schema unknown", async () => {
  const failing = [
    migration("002_sql", "INSERT INTO a SELECT x FROM elsewhere"),
    migration("002_function", () => Promise.reject(new Error("no rows"))),
    migration("002_ends", "CREATE TABLE b (x); COMMIT"),
    migration("002_attaches", "ATTACH ':memory:' AS other"),
  ];
  for (const second of failing) {
    const migrations = [migration("001_first", "CREATE TABLE a (x)"), second];
    for (const build of [buildMigratedSchema, buildMigratedSchemaSteps]) {
      const found = await build(migrations);
      assert.ok(!found.known, second.name);
      assert.equal(found.migration, second);
      assert.ok(found.error instanceof Error);
    }
  }
});

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { defineMigration } from "../../../../lib/migration/migration.ts";
import { execute, query } from "../../../helpers.ts";
import { openSnapshots } from "../../../snapshot.ts";
import { type Definition, failureOf, Program, worded } from "./failure.ts";

const snapshots = openSnapshots("plans");
const table = (name: string): Definition => ({
  upgrade: `CREATE TABLE ${name} (a)`,
  downgrade: `DROP TABLE ${name}`,
});

const registries: Readonly<Record<string, readonly Definition[]>> = {
  "two migrations of the same id": [
    { ...table("a"), name: "004_one" },
    { ...table("b"), name: "004_other" },
  ],
  "two migrations of the same number": [
    { ...table("a"), name: "004_one" },
    { ...table("b"), name: "4_other", database: "other" },
  ],
  "an unknown database": [{ ...table("a"), database: "prices" }],
  "a name without a number": [{ ...table("a"), name: "add_notes" }],
  "a name of a number alone": [{ ...table("a"), name: "004" }],
  "a name with a path": [{ ...table("a"), name: "004_../../etc" }],
};

for (const [name, definitions] of Object.entries(registries)) {
  Deno.test(`a contradictory list of migrations is refused: ${name}`, async () => {
    using program = new Program();
    const error = await failureOf(() => program.migrator(...definitions));
    assert.equal(error.code, "INVALID_REGISTRY");
    snapshots(name)(worded(error));
  });
}

Deno.test("a name is refused where it is defined", async () => {
  const definition = { name: "", database: "app", upgrade: "SELECT 1" };
  const error = await failureOf(() => defineMigration(definition));
  snapshots("an empty name")(worded(error));
});

interface Refusal {
  /** Applied before. */
  readonly before: readonly Definition[];
  /** Known now. */
  readonly now: readonly Definition[];
  readonly upgrade?: { readonly migration?: string; readonly to?: string };
  readonly downgrade?: { readonly migration?: string; readonly to?: string };
  readonly sql?: string;
  readonly code: string;
}

const refusals: Readonly<Record<string, Refusal>> = {
  "a marker that the registry doesn't have": {
    before: [table("a"), table("b")],
    now: [table("a")],
    upgrade: {},
    code: "UNKNOWN_MARKER",
  },
  "a marker that the registry doesn't have, when rolling back": {
    before: [table("a"), table("b")],
    now: [table("a")],
    downgrade: {},
    code: "UNKNOWN_MARKER",
  },
  "a migration with an earlier number than one that is applied": {
    before: [{ ...table("a"), name: "002_later" }],
    now: [{ ...table("b"), name: "001_earlier" }, { ...table("a"), name: "002_later" }],
    upgrade: {},
    code: "OUT_OF_ORDER",
  },
  "a migration that skips one": {
    before: [],
    now: [table("a"), table("b")],
    upgrade: { migration: "002" },
    code: "OUT_OF_ORDER",
  },
  "a text that was changed": {
    before: [table("a")],
    now: [table("b"), table("c")],
    upgrade: {},
    code: "MIGRATION_CHANGED",
  },
  "a name that was changed": {
    before: [table("a")],
    now: [{ ...table("a"), name: "001_renamed" }],
    upgrade: {},
    code: "MIGRATION_CHANGED",
  },
  "a rollback that a later migration blocks": {
    before: [table("a"), table("b")],
    now: [table("a"), table("b")],
    downgrade: { migration: "001" },
    code: "DOWNGRADE_BLOCKED",
  },
  "a rollback without a downgrade": {
    before: [{ upgrade: "CREATE TABLE a (a)" }],
    now: [{ upgrade: "CREATE TABLE a (a)" }],
    downgrade: {},
    code: "DOWNGRADE_BLOCKED",
  },
  "a migration that is not known": {
    before: [],
    now: [table("a")],
    upgrade: { to: "001_stepp" },
    code: "UNKNOWN_MIGRATION",
  },
  "a marker table of another tool": {
    before: [],
    now: [table("a")],
    sql: `CREATE TABLE catalyst_migrations (version VARCHAR(128) PRIMARY KEY);
      INSERT INTO catalyst_migrations VALUES ('20240101000000')`,
    upgrade: {},
    code: "UNKNOWN_FORMAT",
  },
  "a table of the same name and another shape": {
    before: [],
    now: [{ upgrade: "CREATE TABLE IF NOT EXISTS a (a INTEGER NOT NULL, b TEXT)" }],
    sql: "CREATE TABLE a (a INTEGER); INSERT INTO a VALUES (1)",
    upgrade: {},
    code: "SCHEMA_CONFLICT",
  },
};

for (const [name, refusal] of Object.entries(refusals)) {
  Deno.test(`an impossible plan is refused before anything is changed: ${name}`, async () => {
    using program = new Program();
    await program.migrator(...refusal.before).upgrade();
    if (refusal.sql !== undefined) execute(program.path, refusal.sql);
    const before = program.bytes();
    const migrator = program.migrator(...refusal.now);
    const error = await failureOf(() =>
      refusal.upgrade === undefined
        ? migrator.downgrade(refusal.downgrade)
        : migrator.upgrade(refusal.upgrade)
    );
    assert.equal(error.code, refusal.code);
    snapshots(name)(worded(error));
    assert.equal(program.bytes(), before);
  });
}

Deno.test("rows are not lost unless the confirmation is exactly true", async () => {
  using program = new Program();
  const migrator = program.migrator(table("a"), table("b"));
  await migrator.upgrade();
  execute(program.path, "INSERT INTO a VALUES (1), (2); INSERT INTO b VALUES (1)");
  const before = program.content();
  const error = await failureOf(() => migrator.downgrade());
  assert.equal(error.code, "NOT_CONFIRMED");
  snapshots("rows at stake")(worded(error));
  await failureOf(() => migrator.downgrade({ confirm: () => false }));
  assert.deepEqual(program.content(), before);
});

Deno.test("a ledger of a newer version is refused, and nothing is changed", async () => {
  using program = new Program();
  const migrator = program.migrator(table("a"));
  execute(program.ledger, "PRAGMA user_version = 7");
  const error = await failureOf(() => migrator.upgrade());
  assert.equal(error.code, "UNKNOWN_FORMAT");
  snapshots("a newer ledger")(worded(error));
  assert.deepEqual(program.content().objects, []);
});

Deno.test("a database in which the caller has begun a transaction is refused", async () => {
  using program = new Program();
  using db = new DatabaseSync(program.path);
  db.exec("CREATE TABLE mine (a); BEGIN; INSERT INTO mine VALUES (1)");
  const { Migrator } = await import("../../../../lib/migrator.ts");
  const migrations = [defineMigration({ name: "001_a", database: "app", ...table("a") })];
  const migrator = new Migrator({ databases: { app: db }, ledger: program.ledger, migrations });
  const error = await failureOf(() => migrator.upgrade());
  snapshots("a transaction of the caller's")(worded(error));
  db.exec("COMMIT");
  assert.deepEqual(query(program.path, "SELECT a FROM mine"), [{ a: 1 }]);
  await migrator.upgrade();
});

import assert from "node:assert/strict";
import fc from "fast-check";
import { RegistryError, UnknownMigrationError } from "../../../lib/base/errors.ts";
import { findMigration } from "../../../lib/state/plan.ts";
import { compareIds, createRegistry } from "../../../lib/migration/migration.ts";
import { migrationOf } from "../support.ts";
import { definitions } from "../arbitraries.ts";

const id = fc.tuple(fc.bigInt({ min: 0n, max: 10n ** 30n }), fc.nat(5))
  .map(([number, zeros]) => "0".repeat(zeros) + number);

Deno.test("ids of any length are ordered as numbers", () => {
  fc.assert(fc.property(id, id, (a, b) => {
    const expected = BigInt(a) < BigInt(b) ? -1 : BigInt(a) > BigInt(b) ? 1 : 0;
    assert.equal(Math.sign(compareIds(a, b)), expected);
  }));
});

Deno.test("a registry has all migrations, lowest number first, regardless of the given order", () => {
  fc.assert(fc.property(definitions, ({ migrations, databases }) => {
    const registry = createRegistry(migrations, databases);
    assert.deepEqual(new Set(registry.migrations), new Set(migrations));
    registry.migrations.slice(1).forEach((migration, index) => {
      assert(BigInt(registry.migrations[index]?.id ?? 0) < BigInt(migration.id));
    });
    for (const migration of migrations) {
      assert.equal(registry.byId.get(migration.id), migration);
    }
  }));
});

Deno.test("the caller's list is not reordered", () => {
  const migrations = Object.freeze([migrationOf({ name: "2_b" }), migrationOf({ name: "1_a" })]);
  createRegistry(migrations, ["app"]);
  assert.equal(migrations[0]?.id, "2");
});

Deno.test("two migrations with the same number are refused, even with different leading zeros", () => {
  const migrations = [migrationOf({ name: "001_a" }), migrationOf({ name: "1_b" })];
  assert.throws(() => createRegistry(migrations, ["app"]), (error) => {
    assert(error instanceof RegistryError);
    return error.message.includes("001_a") && error.message.includes("1_b");
  });
});

Deno.test("a migration for an unknown database is refused, and the error names the known ones", () => {
  assert.throws(() => createRegistry([migrationOf({ name: "1_a" })], ["one", "two"]), (error) => {
    assert(error instanceof RegistryError);
    return error.message.includes('"app"') && error.help === "the databases are one, two";
  });
});

Deno.test("a migration is found by name, and by number with or without leading zeros", () => {
  fc.assert(fc.property(definitions, fc.nat(3), ({ migrations, databases }, zeros) => {
    const registry = createRegistry(migrations, databases);
    for (const migration of migrations) {
      assert.equal(findMigration(registry, migration.name), migration);
      assert.equal(findMigration(registry, migration.id), migration);
      const number = "0".repeat(zeros) + BigInt(migration.id);
      assert.equal(findMigration(registry, number), migration);
    }
  }));
});

Deno.test("an unknown migration is refused, and the error suggests the closest one with the same number", () => {
  const registry = createRegistry([migrationOf({ name: "001_create_orders" })], ["app"]);
  for (
    const [wanted, suggestion] of [
      ["001_create_order", "001_create_orders"],
      ["create_orders", "001_create_orders"],
    ] as const
  ) {
    assert.throws(() => findMigration(registry, wanted), (error) => {
      assert(error instanceof UnknownMigrationError);
      assert.match(error.help ?? "", new RegExp(`did you mean "${suggestion}"`));
      return true;
    });
  }
  for (const wanted of ["002", "0011", "002_create_orders"]) {
    assert.throws(() => findMigration(registry, wanted), (error) => {
      assert(error instanceof UnknownMigrationError);
      assert.doesNotMatch(error.help ?? "", /001|did you mean/);
      return true;
    });
  }
  for (const wanted of ["", " 1", "1.0", "0x1", "-1", "__proto__"]) {
    assert.throws(() => findMigration(registry, wanted), UnknownMigrationError);
  }
});

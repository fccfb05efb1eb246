import assert from "node:assert/strict";
import fc from "fast-check";
import { RegistryError } from "../../../lib/base/errors.ts";
import { defineMigration } from "../../../lib/migration/migration.ts";

Deno.test("the id is the number at the start of the name, as written", () => {
  fc.assert(fc.property(fc.stringMatching(/^\d{1,20}$/), (id) => {
    const migration = defineMigration({ name: `${id}_x`, database: "app", upgrade: "" });
    assert.equal(migration.id, id);
  }));
});

Deno.test("a migration is frozen", () => {
  assert(Object.isFrozen(defineMigration({ name: "1_x", database: "app", upgrade: "" })));
});

for (
  const name of ["", "x", "_x", "001", "001_", "001-x", "a001_x", "001_ x", "001_x y", "001_x/y"]
) {
  Deno.test(`"${name}" is no name for a migration`, () => {
    assert.throws(
      () => defineMigration({ name, database: "app", upgrade: "" }),
      (error) => error instanceof RegistryError && error.message.includes(`"${name}"`),
    );
  });
}

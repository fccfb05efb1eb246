import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { bundledMigrations } from "../../migrations/mod.ts";
import { sqlOf } from "./fixture.ts";

const recorded = new URL("../testdata/bundled-checksums.json", import.meta.url);

Deno.test("no bundled migration has changed since its release", () => {
  const checksums = JSON.parse(Deno.readTextFileSync(recorded)) as Record<string, string>;
  for (const migration of bundledMigrations) {
    const found = createHash("sha256").update(sqlOf(migration, "upgrade")).digest("hex");
    assert.equal(
      found,
      checksums[migration.name],
      `Cannot change migration ${migration.name}: a migration is frozen once it is released, and ` +
        `databases contain the released version. Undo the edit and write a new migration with the next number; ` +
        `for a new or unreleased one record SHA-256 ${found} in tests/testdata/bundled-checksums.json`,
    );
  }
  assert.deepEqual(Object.keys(checksums), bundledMigrations.map(({ name }) => name));
});

import assert from "node:assert/strict";
import { checkMigrations } from "../../lib/catalyst.ts";
import type { CheckMigrationsOptions } from "../../lib/catalyst.ts";
import { LocationError, MigrationCheckError } from "../../lib/base/errors.ts";
import { TemporaryDirectory } from "./support.ts";

/** Files by name. */
type Files = Readonly<Record<string, string>>;

/** Checks a directory of these files, which must not change. */
async function check(
  files: Files,
  options: Partial<CheckMigrationsOptions> = {},
): Promise<Awaited<ReturnType<typeof checkMigrations>>> {
  using directory = new TemporaryDirectory();
  for (const [name, text] of Object.entries(files)) {
    Deno.writeTextFileSync(directory.file(name), text);
  }
  const before = directory.listing();
  try {
    return await checkMigrations({ migrationsDir: directory.path, ...options });
  } finally {
    assert.deepEqual(directory.listing(), before);
  }
}

/** The findings of a check that must fail: `FILE:LINE CODE`. */
async function problemsOf(
  files: Files,
  options: Partial<CheckMigrationsOptions> = {},
): Promise<string[]> {
  const error = await check(files, options).then(() => null, (error) => error);
  assert.ok(error instanceof MigrationCheckError, String(error));
  for (const { file, reason, fix } of error.problems) {
    assert.ok(file === null || error.message.includes(file));
    assert.ok(reason !== "" && fix !== "");
  }
  return error.problems.map(({ file, line, code }) =>
    `${file?.replace(/.*\//, "") ?? "-"}:${line ?? "-"} ${code}`
  );
}

const good = `-- database: trading
-- migrate:up
ALTER TABLE orders ADD COLUMN note TEXT;
-- migrate:down
ALTER TABLE orders DROP COLUMN note;
`;

Deno.test("valid migrations pass, with the bundled ones before them", async () => {
  const { migrations, warnings } = await check({
    "004_note.sql": good,
    "005_by_note.js": `export default {
      database: "trading",
      upgrade: "CREATE INDEX by_note ON orders (note)",
      downgrade: "DROP INDEX by_note",
    };`,
    "README.md": "not one of them",
  });
  assert.deepEqual({ migrations, warnings }, { migrations: ["004", "005"], warnings: [] });
});

Deno.test("an empty directory passes, and a missing one fails", async () => {
  assert.deepEqual((await check({})).migrations, []);
  await assert.rejects(checkMigrations({ migrationsDir: "no/such/directory" }), LocationError);
});

Deno.test("every file that is not a valid migration is named", async () => {
  const problems = await problemsOf({
    "004_empty.sql": "",
    "005_note.sql": good,
    "006_elsewhere.sql": "-- database: nowhere\n-- migrate:up\nSELECT 1;\n",
    "007_option.sql": "-- database: trading\n-- migrate:up transactions:false\nSELECT 1;\n",
  });
  assert.deepEqual(problems.map((one) => one.split(":")[0]), [
    "004_empty.sql",
    "006_elsewhere.sql",
    "007_option.sql",
  ]);
});

Deno.test("a number used by a bundled migration is reported", async () => {
  assert.deepEqual(await problemsOf({ "003_mine.sql": good }), ["003_mine.sql:- INVALID_REGISTRY"]);
});

Deno.test("syntax errors are reported with their lines, for all files", async () => {
  const wrong = good.replace("ADD COLUMN", "AD COLUMN");
  const problems = await problemsOf({ "004_a.sql": wrong, "005_b.sql": `\n${wrong}` });
  assert.equal(problems.length, 2);
  assert.match(problems[0] ?? "", /^004_a\.sql:3 /);
  assert.match(problems[1] ?? "", /^005_b\.sql:4 /);
});

Deno.test("lint errors are reported, and warnings only in strict mode", async () => {
  const files = {
    "004_drop.sql": "-- database: trading\n-- migrate:up\nSELECT 1;\nDROP TABLE fills;\n",
    "005_note.sql": good.replace(/-- migrate:down[^]*/, ""),
  };
  assert.deepEqual(await problemsOf(files), [
    "004_drop.sql:4 table-dropped",
    "004_drop.sql:4 lost-view",
  ]);
  const noDowngrade = { "004_note.sql": good.replace(/-- migrate:down[^]*/, "") };
  const { warnings } = await check(noDowngrade);
  assert.deepEqual(warnings.map(({ code }) => code), ["no-downgrade"]);
  const [problem] = await problemsOf(noDowngrade, { strict: true });
  assert.match(problem ?? "", /no-downgrade$/);
});

Deno.test("a downgrade that does not restore the schema is reported once", async () => {
  const files = {
    "004_note.sql": good.replace("DROP COLUMN note", "RENAME COLUMN note TO former"),
  };
  const problems = await problemsOf(files);
  assert.deepEqual([...new Set(problems)].length, problems.length);
  assert.ok(problems.some((one) => one.endsWith("downgrade-differs")), problems.join());
});

Deno.test("a migration that cannot be applied is reported with its line", async () => {
  const files = {
    "004_note.sql": good,
    "005_wrong.sql":
      "-- database: trading\n-- migrate:up\nSELECT 1;\nINSERT INTO fills (fill_id) VALUES (1);\n",
  };
  assert.deepEqual(await problemsOf(files), ["005_wrong.sql:4 fails"]);
});

Deno.test("a program's own databases have no bundled migrations", async () => {
  const create = "-- database: app\n-- migrate:up\nCREATE TABLE notes (body TEXT);\n" +
    "-- migrate:down\nDROP TABLE notes;\n";
  const { migrations } = await check({ "001_notes.sql": create }, { databases: ["app"] });
  assert.deepEqual(migrations, ["001"]);
  assert.equal((await problemsOf({ "001_notes.sql": create })).length, 1);
});

Deno.test("in a program's test it only needs to read the directory", async () => {
  using directory = new TemporaryDirectory();
  Deno.mkdirSync(directory.file("migrations"));
  Deno.writeTextFileSync(directory.file("migrations/004_note.sql"), good);
  const module = new URL("../../lib/catalyst.ts", import.meta.url);
  Deno.writeTextFileSync(
    directory.file("migrations_test.ts"),
    `import { checkMigrations } from ${JSON.stringify(module.href)};
    Deno.test("migrations are fine", async () => {
      await checkMigrations({ migrationsDir: "migrations" });
    });`,
  );
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "--no-check", "--no-prompt", "--allow-read=migrations", "migrations_test.ts"],
    cwd: directory.path,
  }).output();
  assert.ok(success, new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr));
});

Deno.test("a downgrade may drop the rows of a table that its upgrade created", async () => {
  const { migrations } = await check({
    "004_notes.sql": `-- database: trading
-- migrate:up
CREATE TABLE notes (body TEXT);
INSERT INTO notes VALUES ('first');
-- migrate:down
DROP TABLE notes;
`,
  });
  assert.deepEqual(migrations, ["004"]);
});

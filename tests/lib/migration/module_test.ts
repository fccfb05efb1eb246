import assert from "node:assert/strict";
import { MigrationFileError } from "../../../lib/base/errors.ts";
import type { Migration } from "../../../lib/migration/migration.ts";
import { loadMigrationModule } from "../../../lib/migration/module.ts";
import { TemporaryDirectory } from "../support.ts";

/** Loads a module with this text. */
async function load(
  text: string,
  options: { kind?: "ts" | "js"; timeout?: number; standalone?: boolean } = {},
): Promise<Migration> {
  using directory = new TemporaryDirectory();
  const { kind = "ts", ...rest } = options;
  const path = directory.file(`004_add_notes.${kind}`);
  Deno.writeTextFileSync(path, text);
  const module = { path, id: "004", name: "004_add_notes", databases: ["app", "other"] };
  return await loadMigrationModule({ ...module, ...rest });
}

const defineUrl = new URL("../../../lib/migration/migration.ts", import.meta.url).href;

Deno.test("a module's default export is a migration, from defineMigration or a plain object", async () => {
  const fields = `{
    name: "004_add_notes",
    database: "app",
    upgrade: (transaction) => transaction.exec("SELECT 1"),
    downgrade: "SELECT 2",
    destroys: ["t"],
    foreignKeys: false,
    transaction: false,
    allows: [{ code: "table-dropped", reason: "a test" }],
  }`;
  const defined = `import { defineMigration } from "${defineUrl}";\n` +
    `export default defineMigration(${fields});`;
  for (const text of [defined, `export default ${fields};`]) {
    const { source, upgrade, ...migration } = await load(text);
    assert.equal(typeof upgrade, "function");
    assert.match(source?.path ?? "", /004_add_notes\.ts$/);
    assert.deepEqual(migration, {
      id: "004",
      name: "004_add_notes",
      database: "app",
      downgrade: "SELECT 2",
      destroys: ["t"],
      foreignKeys: false,
      transaction: false,
      allows: [{ code: "table-dropped", reason: "a test" }],
    });
  }
});

Deno.test("the name defaults to that of the file", async () => {
  const migration = await load(`export default { database: "app", upgrade: "SELECT 1" }`, {
    kind: "js",
    standalone: true,
  });
  assert.equal(migration.name, "004_add_notes");
});

const wrong: Readonly<Record<string, readonly [text: string, reason: RegExp]>> = {
  "nothing": ["", /no default export/],
  "no default export": ["export const migration = {};", /no default export/],
  "a default that is no object": ["export default 5;", /default export is not a migration/],
  "a default that is a list": ["export default [];", /default export is not a migration/],
  "null": ["export default null;", /default export is not a migration/],
  "a module that throws": ["throw new TypeError('no');", /importing it fails: no$/],
  "a module that throws no error": ["throw 'no';", /importing it fails: no$/],
  "a module that changes the directory": ["Deno.chdir('/');", /it calls Deno\.chdir\(\)$/],
  "a field that throws": [
    "export default { get database() { throw new Error('no'); } };",
    /reading its default export fails: no$/,
  ],
  "an object that throws": [
    "export default new Proxy({}, { ownKeys() { throw undefined; } });",
    /reading its default export fails/,
  ],
  "a module that exits": ["Deno.exit(0);", /importing it fails: it calls Deno\.exit\(\)$/],
  "an import of a missing file": [`import "./nowhere.ts";`, /importing it fails: .*nowhere/],
  "a syntax error": ["export default {", /cannot be parsed/],
  "another name": [
    `export default { name: "005_x", database: "app", upgrade: "" }`,
    /name "005_x" does not match/,
  ],
  "no database": [`export default { upgrade: "" }`, /no "database"/],
  "an unknown database": [
    `export default { database: "ap", upgrade: "" }`,
    /unknown database "ap"/,
  ],
  "no upgrade": [`export default { database: "app" }`, /no "upgrade"/],
  "an upgrade that is a number": [`export default { database: "app", upgrade: 1 }`, /"upgrade"/],
  "a downgrade that is null": [
    `export default { database: "app", upgrade: "", downgrade: null }`,
    /"downgrade" is not SQL text/,
  ],
  "tables that are no list": [
    `export default { database: "app", upgrade: "", destroys: "t" }`,
    /"destroys" is not a list/,
  ],
  "keys that are off": [
    `export default { database: "app", upgrade: "", foreignKeys: "off" }`,
    /"foreignKeys" is not true or false/,
  ],
  "an allowance without a reason": [
    `export default { database: "app", upgrade: "", allows: [{ code: "x" }] }`,
    /"allows" is not a list/,
  ],
  "an unknown field": [`export default { database: "app", up: "" }`, /no field "up"/],
};

for (const [name, [text, reason]] of Object.entries(wrong)) {
  Deno.test(`a module is refused: ${name}`, async () => {
    await assert.rejects(load(text), (error) => {
      assert(error instanceof MigrationFileError, String(error));
      assert.match(error.message, /^Cannot use .*004_add_notes\.ts: [^\n]+$/);
      assert.match(error.message, reason);
      assert(error.help !== undefined && error.help !== "");
      return true;
    });
  });
}

Deno.test("an import that takes too long is stopped, and the error names the module", async () => {
  const text = "await new Promise((resolve) => setTimeout(resolve, 400)); export default {};";
  const loading = load(text, { timeout: 0.1 });
  await assert.rejects(loading, /004_add_notes\.ts: its import did not finish within 0.1 s/);
  await new Promise((resolve) => setTimeout(resolve, 500)); // until it has ended anyway
});

Deno.test("for an import that no deno.json maps, the help says how to write it", async () => {
  const text = 'import "@catalyst/unmapped";';
  for (const [standalone, help] of [[false, /"jsr:@catalyst/], [true, /only files/]] as const) {
    await assert.rejects(load(text, { kind: "js", standalone }), (error) => {
      assert(error instanceof MigrationFileError);
      assert.match(error.help ?? "", help);
      return true;
    });
  }
});

Deno.test("the standalone executable says what to do instead of using TypeScript", async () => {
  await assert.rejects(load("", { standalone: true }), (error) => {
    assert(error instanceof MigrationFileError);
    assert.match(error.message, /cannot load TypeScript/);
    assert.match(error.help ?? "", /\.sql or \.js.*deno run/);
    return true;
  });
});

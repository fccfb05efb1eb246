/**
 * Exports random databases and loads them again, with this toolkit and with the real `sqlite3`
 * shell. `CATALYST_TEST_EFFORT` multiplies the number of databases; `CATALYST_DUMP_SEED` repeats a
 * run.
 */
import fc from "fast-check";
import assert from "node:assert/strict";
import { defaultSettings } from "../../../lib/database/connection.ts";
import { contentHash } from "../../../lib/dump/hash.ts";
import { tempDir } from "../../helpers.ts";
import { appIn } from "./app.ts";
import { type Content, contentOf } from "./content.ts";
import { build, type Recipe, recipes } from "./recipes.ts";
import { runShell, shellVersion, withoutShell } from "./shell.ts";
import { trials } from "../../effort.ts";

const numRuns = trials(6);
const seed = Number(Deno.env.get("CATALYST_DUMP_SEED") ?? Math.floor(Math.random() * 2 ** 31));

function hashOf(path: string): Promise<string> {
  return contentHash({ kind: "file", path }, defaultSettings);
}

/** Creates the database of a recipe, and a directory for the results. */
async function withDatabases(
  recipe: Recipe,
  work: (from: ReturnType<typeof appIn>, to: ReturnType<typeof appIn>) => Promise<void>,
): Promise<void> {
  await using source = await tempDir();
  await using target = await tempDir();
  const from = appIn(source.path);
  build(from.path, recipe);
  await work(from, appIn(target.path));
}

async function check(
  arbitrary: fc.Arbitrary<Recipe>,
  work: (from: ReturnType<typeof appIn>, to: ReturnType<typeof appIn>) => Promise<void>,
): Promise<void> {
  // deno-lint-ignore no-console -- shows how to repeat this run
  console.log(`CATALYST_DUMP_SEED=${seed}`);
  await fc.assert(
    fc.asyncProperty(arbitrary, (recipe) => withDatabases(recipe, work)),
    { seed, numRuns },
  );
}

Deno.test("a database that is exported and imported is the same database", async () => {
  await check(recipes(), async (from, to) => {
    const before = contentOf(from.path);
    await to.migrator.importDump(await from.migrator.exportDatabase("app"), { database: "app" });
    assert.deepEqual(contentOf(to.path), before);
    assert.deepEqual(contentOf(from.path), before);
    assert.equal(await hashOf(to.path), await hashOf(from.path));
  });
});

Deno.test({
  name:
    `a database that is exported and loaded by the sqlite3 shell is the same database${withoutShell}`,
  ignore: shellVersion === null,
  async fn() {
    await check(recipes(), async (from, to) => {
      const before = contentOf(from.path);
      if (before.schema.length === 0) return; // an empty file has no page size
      await runShell(to.path, await from.migrator.exportDatabase("app"));
      assert.deepEqual(contentOf(to.path), before);
    });
  },
});

Deno.test({
  name:
    `what the sqlite3 shell dumps and is imported is all that a dump by it keeps${withoutShell}`,
  ignore: shellVersion === null,
  async fn() {
    await check(recipes({ isPlain: true }), async (from, to) => {
      const dump = await runShell(from.path, ".dump\n");
      await to.migrator.importDump(new Blob([dump]).stream(), { database: "app" });
      assert.deepEqual(kept(to.path), kept(from.path));
    });
  },
});

/** What the shell's own dump keeps of a database. */
function kept(path: string): Partial<Content> {
  const { schema, rows, integrity } = contentOf(path, { hasRowids: false });
  return {
    schema,
    integrity,
    rows: Object.fromEntries(
      Object.entries(rows).map(([table, rows]) => [table, rows.toSorted()]),
    ),
  };
}

for (const format of ["csv", "jsonl"] as const) {
  Deno.test(`rows that are exported as ${format} and imported are the same rows`, async () => {
    await check(recipes({ isRowsOnly: true }), async (from, to) => {
      const schema = await from.migrator.exportDatabase("app", { content: "schema" });
      await to.migrator.importDump(schema, { database: "app" });
      for await (const { name, rows } of from.migrator.exportTables("app", { format })) {
        await to.migrator.importRows(rows, {
          database: "app",
          table: name,
          format,
          backup: false,
        });
      }
      assert.deepEqual(valuesOf(to.path), valuesOf(from.path));
    });
  });
}

/** Rows as read back from CSV and JSON Lines, which have only valid text. */
function valuesOf(path: string): Readonly<Record<string, readonly string[]>> {
  const { rows, pragmas } = contentOf(path, { hasRowids: false, hasGenerated: false });
  const decoder = new TextDecoder(String(pragmas["encoding"]), { fatal: true, ignoreBOM: true });
  const isValid = (hex: string): boolean => {
    try {
      return !/[\uFFFE\uFFFF]/.test(decoder.decode(Uint8Array.fromHex(hex)));
    } catch {
      return false;
    }
  };
  return Object.fromEntries(
    Object.entries(rows).filter(([table]) => table !== "sqlite_sequence").map(([table, rows]) => [
      table,
      rows.map((row) =>
        row.replace(/text ([0-9A-F]*)/g, (text, hex) => isValid(hex) ? text : `blob ${hex}`)
      ).toSorted(),
    ]),
  );
}

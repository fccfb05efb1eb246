import assert from "node:assert/strict";
import { join } from "node:path";
import { expectFailure, prepare, run } from "../cli_helpers.ts";
import { tempDir } from "../helpers.ts";
import { openSnapshots } from "../snapshot.ts";

const snapshots = openSnapshots("migration_files");
const code = "INVALID_MIGRATION_FILE";

const HEAD = "-- database: trading\n-- migrate:up\n";

/** Writes user migrations into the directory of a test. */
async function write(cwd: string, files: Readonly<Record<string, string>>): Promise<void> {
  await Deno.mkdir(join(cwd, "migrations"), { recursive: true });
  for (const [name, text] of Object.entries(files)) {
    await Deno.writeTextFile(join(cwd, "migrations", name), text);
  }
}

interface Wrong {
  readonly files: Readonly<Record<string, string>>;
  readonly code?: string;
}

const wrong: Readonly<Record<string, Wrong>> = {
  "an empty file": { files: { "004_x.sql": "" } },
  "no section": { files: { "004_x.sql": "-- database: trading\nSELECT 1;\n" } },
  "a misspelt section": { files: { "004_x.sql": "-- migrate:upp\nSELECT 1;\n" } },
  "a misspelt option": {
    files: { "004_x.sql": "-- migrate:up foreign-key:off\nSELECT 1;\n" },
  },
  "an unknown database": {
    files: { "004_x.sql": "-- database: tradign\n-- migrate:up\nSELECT 1;\n" },
  },
  "an open string": {
    files: { "004_x.sql": `${HEAD}INSERT INTO notes (body)\nVALUES ('it's');\n` },
  },
  "an open trigger": {
    files: {
      "004_x.sql": `${HEAD}CREATE TRIGGER g AFTER INSERT ON orders BEGIN\n  SELECT 1;\n`,
    },
  },
  "a syntax error in the last of two": {
    files: {
      "004_x.sql": `${HEAD}CREATE TABLE one (a);\n`,
      "005_y.sql": `${HEAD}CREATE TABLE two (\n  a TEXT,\n  b TEXT,\n);\n`,
    },
  },
  "a syntax error on the way back": {
    files: {
      "004_x.sql": `${HEAD}CREATE TABLE one (a);\n\n-- migrate:down\nDROP TABLES one;\n`,
    },
  },
  "two files with one number": {
    files: { "004_x.sql": `${HEAD}SELECT 1;\n`, "4_y.sql": `${HEAD}SELECT 1;\n` },
  },
  "the number of a bundled migration": {
    files: { "002_x.sql": `${HEAD}SELECT 1;\n` },
    code: "INVALID_REGISTRY",
  },
  "a module without a default export": { files: { "004_x.js": "export const up = 1;\n" } },
  "a module that throws": { files: { "004_x.ts": "throw new Error('not today');\n" } },
  "a field that there is not": {
    files: { "004_x.js": `export default { database: "trading", upgade: "SELECT 1" };\n` },
  },
};

for (const [name, { files, code: expected = code }] of Object.entries(wrong)) {
  Deno.test(`an invalid migration is refused before anything runs: ${name}`, async () => {
    await using directory = await tempDir();
    const cwd = directory.path;
    await write(cwd, files);
    const snapshot = snapshots(name);
    await expectFailure({ args: ["upgrade"], cwd, code: expected, snapshot });
  });
}

Deno.test("an import that never settles is stopped and named", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await write(cwd, { "004_x.ts": "await new Promise(() => {});\n" });
  const { href } = new URL("../../mod.ts", import.meta.url);
  const program = `import { loadMigrations } from "${href}";
    await loadMigrations("migrations", { timeout: 0.2 }).catch((error) => {
      console.log(error.message);
      Deno.exit();
    });`;
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["eval", program], cwd })
    .output();
  assert.equal(
    new TextDecoder().decode(stdout),
    "Cannot use migrations/004_x.ts: its import did not finish within 0.2 s\n",
  );
});

Deno.test("a missing migrations directory is refused", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await Deno.writeTextFile(join(cwd, "file"), "");
  const args = (place: string) => ["status", "--migrations-dir", place];
  const missing = { args: args("own"), cwd, code: "INVALID_LOCATION" };
  await expectFailure({ ...missing, snapshot: snapshots("a missing directory") });
  const file = { args: args("file"), cwd, code: "INVALID_LOCATION" };
  await expectFailure({ ...file, snapshot: snapshots("a file for a directory") });
  await expectFailure({ args: args(""), cwd, code: "USAGE", exit: 2 });
});

Deno.test("new reports missing arguments", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  const refused = async (name: string, ...args: string[]) => {
    const snapshot = snapshots(`new: ${name}`);
    await expectFailure({ args: ["new", ...args], cwd, code: "USAGE", exit: 2, snapshot });
  };
  await refused("no name", "--database", "trading");
  await refused("no letter", "--database", "trading", "???");
  await refused("no database", "add_notes");
  await refused("an unknown database", "add_notes", "--database", "tradign");
  await refused("an unknown kind", "add_notes", "--database", "trading", "--kind", "py");
});

Deno.test("a failed statement is shown with its file and line", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  await write(cwd, {
    "004_x.sql": `${HEAD}CREATE TABLE one (a);\n\nINSERT INTO one\nSELECT b FROM one;\n`,
  });
  await expectFailure({
    args: ["upgrade"],
    cwd,
    code: "MIGRATION_FAILED",
    mayChange: /^data/,
    snapshot: snapshots("a column that is not there"),
  });
});

Deno.test("migrations are read only with the permission to read them", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await write(cwd, { "004_x.sql": `${HEAD}CREATE TABLE one (a);\n` });
  const permissions = ["--allow-env", "--allow-write=data", "--allow-read=data"];
  const without = await run(["upgrade"], { cwd, permissions });
  assert.equal(without.code, 0, without.stderr);
  assert.match(without.stdout, /3 migrations applied/);
  assert.match(without.stderr, /^Deno may not read migrations\/, so .* ignored: .*--allow-read$/m);
  const named = ["upgrade", "--migrations-dir", "migrations"];
  await expectFailure({
    ...{ args: named, cwd, permissions, code: "NOT_PERMITTED" },
    snapshot: snapshots("no permission"),
  });
  const given = [...permissions.slice(0, 2), "--allow-read=data,migrations"];
  const { stdout } = await run(["upgrade"], { cwd, permissions: given });
  assert.match(stdout, /1 migration applied/);
});

Deno.test("an invalid migration does not stop a backup", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  await write(cwd, { "004_x.sql": "" });
  for (const args of [["backup"], ["history"]]) await prepare(args, { cwd });
});

Deno.test("a line that a migration logs goes to stderr, so that stdout stays one document", async () => {
  await using dir = await tempDir();
  await write(dir.path, {
    "004_x.js": `console.log("loading");
      export default {
        name: "004_x",
        database: "trading",
        upgrade: async (transaction) => {
          console.info("running");
          await transaction.run("CREATE TABLE x (a)");
        },
      };`,
  });
  const { code, stdout, stderr } = await run(["upgrade", "--json"], { cwd: dir.path, alone: true });
  assert.equal(code, 0, stderr);
  assert.equal(JSON.parse(stdout).applied.length, 4);
  assert.match(stderr, /loading[^]*running/);
});

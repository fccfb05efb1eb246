import assert from "node:assert/strict";
import { templateOf } from "../../../lib/migration/new_file.ts";
import { nextId } from "../../../lib/migration/new_file.ts";
import { parseMigrationFile } from "../../../lib/migration/file.ts";
import { prepare, run } from "../../cli_helpers.ts";
import { tempDir } from "../../helpers.ts";

const now = new Date("2025-01-20T12:30:00Z");

Deno.test("the next number follows the highest, with as many digits", () => {
  const next = (...known: string[]) => nextId(known, { byTime: false, now });
  assert.equal(next(), "001");
  assert.equal(next("001", "003", "002"), "004");
  assert.equal(next("9"), "010");
  assert.equal(next("999"), "1000");
  assert.equal(next("003", "00041"), "00042");
  assert.equal(next("003", "20240101000000"), "20250120123000");
  assert.equal(next("003", "20260101000000"), "20260101000001");
  assert.equal(nextId(["003"], { byTime: true, now }), "20250120123000");
});

Deno.test("new writes the next file into a directory that it creates, and prints the next steps", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  const args = ["new", "Añadir notas", "--database", "trading"];
  const { stdout } = await prepare(args, { cwd });
  assert.equal(
    stdout,
    `wrote migrations/004_anadir_notas.sql
Next: edit it, then
  catalyst-migrate lint      look for problems
  catalyst-migrate rehearse  try it on a copy of your data
  catalyst-migrate upgrade   apply it
`,
  );
  const json = await prepare([...args, "--kind", "js", "--json"], { cwd });
  assert.deepEqual(JSON.parse(json.stdout), {
    ok: true,
    path: "migrations/005_anadir_notas.js",
    id: "005",
    name: "005_anadir_notas",
    database: "trading",
    kind: "js",
  });
  const timed = ["new", "x", "--database", "trading", "--timestamp", "--migrations-dir", "own/"];
  assert.match((await prepare(timed, { cwd })).stdout, /^wrote own\/20\d{12}_x\.sql\n/);
});

Deno.test("an invalid migration next to it does not stop new", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await Deno.mkdir(`${cwd}/migrations`);
  await Deno.writeTextFile(`${cwd}/migrations/010_broken.sql`, "");
  const { stdout } = await prepare(["new", "x", "--database", "trading"], { cwd });
  assert.match(stdout, /^wrote migrations\/011_x\.sql\n/);
});

for (const kind of ["sql", "js", "ts"] as const) {
  Deno.test(`the template of ${kind} can be edited into a migration that goes up and down`, async () => {
    await using directory = await tempDir();
    const cwd = directory.path;
    await prepare(["new", "add_notes", "--database", "trading", "--kind", kind], { cwd });
    const path = `${cwd}/migrations/004_add_notes.${kind}`;
    const text = Deno.readTextFileSync(path);
    const untouched = await run(["upgrade"], { cwd, alone: true }); // loads what is edited then
    assert.equal(untouched.code, 1);
    const edited = kind === "sql"
      ? text.replace("-- migrate:up\n", "-- migrate:up\nALTER TABLE orders ADD COLUMN notes;\n")
        .replace("-- migrate:down\n", "-- migrate:down\nALTER TABLE orders DROP COLUMN notes;\n")
      : text.replace(/throw new Error.*;/, `await transaction.exec("CREATE TABLE example (a)");`)
        .replace(/\/\/ (downgrade: `)\n(?:.*\n)*?.*\/\/ `,/, "$1DROP TABLE example`,")
        // A test must not use the network.
        .replace(/jsr:@catalyst\/migrate@[^"]*/, new URL("../../../mod.ts", import.meta.url).href);
    Deno.writeTextFileSync(path, edited);
    await prepare(["upgrade"], { cwd });
    const { stdout } = await prepare(["downgrade", "--steps", "1", "--yes"], { cwd });
    assert.match(stdout, /004/);
  });
}

Deno.test("every example of the SQL template is SQL", () => {
  const template = templateOf({ name: "004_x", database: "trading", kind: "sql" });
  const examples = template.replace(/^-- {3}/gm, "");
  const file = { path: "004_x.sql", id: "004", name: "004_x" };
  const { upgrade, downgrade } = parseMigrationFile(examples, file);
  assert.match(String(upgrade), /^CREATE TABLE new_example/m);
  assert.match(String(downgrade), /^DROP INDEX/m);
});

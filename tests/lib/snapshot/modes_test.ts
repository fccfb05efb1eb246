/** A user who may not read a database may not read its copies. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { Migrator } from "../../../lib/migrator.ts";
import { defineMigration } from "../../../lib/migration/migration.ts";
import { writeFile } from "../../../lib/dump/output_file.ts";
import { execute, tempDir } from "../../helpers.ts";

const hasModes = Deno.build.os !== "windows";

Deno.test({
  name: `copies, dumps and restored files are no more readable than their database${
    hasModes ? "" : " (skipped: files have no modes here)"
  }`,
  ignore: !hasModes,
  async fn() {
    await using directory = await tempDir();
    const path = join(directory.path, "app.db");
    const modes = () =>
      Object.fromEntries(
        [directory.path, join(directory.path, "backups")].flatMap((place) =>
          [...Deno.readDirSync(place)].filter(({ isFile, name }) =>
            isFile && !name.endsWith(".lock")
          ).map(({ name }) => [
            // The second snapshot within a second has a number.
            name.replace(/\d{8}_\d{6}(_\d+)?/, "X"),
            ((Deno.statSync(join(place, name)).mode ?? 0) & 0o777).toString(8),
          ])
        ),
      );
    const migrator = new Migrator({
      databases: { app: path },
      ledger: join(directory.path, "migrations.db"),
      migrations: [
        defineMigration({ name: "001_a", database: "app", upgrade: "CREATE TABLE a (x)" }),
      ],
    });
    await migrator.upgrade();
    Deno.chmodSync(path, 0o600);
    Deno.chmodSync(join(directory.path, "migrations.db"), 0o600);
    const plain = await migrator.createSnapshot();
    Deno.removeSync(path);
    await migrator.restoreSnapshot(plain.name, { confirm: () => true, databases: ["app"] });
    assert.deepEqual(modes(), {
      "app.db": "600",
      "migrations.db": "600",
      "app_X.db": "600",
      "migrations_X.db": "600",
      "snapshot_X.json": "600",
    });
    const packed = await migrator.createSnapshot({ compress: true });
    const file = packed.files.find(({ database }) => database === "app")?.file ?? "";
    Deno.writeTextFileSync(path, "damaged");
    await migrator.restoreSnapshot(join(directory.path, "backups", file), {
      confirm: () => true,
      databases: ["app"],
    });
    // A killed export had made it readable for all.
    Deno.writeTextFileSync(join(directory.path, "a.sql.catalyst.part"), "", { mode: 0o644 });
    const dump = join(directory.path, "a.sql");
    await writeFile(dump, await migrator.exportDatabase("app"), { like: migrator.pathOf("app") });
    const importDump = async () =>
      await migrator.importDump((await Deno.open(dump)).readable, {
        database: "app",
        likeFile: dump,
        backup: false,
        confirm: () => true,
      });
    await importDump();
    Deno.removeSync(path);
    await importDump();
    const found = modes();
    assert.deepEqual(Object.entries(found).filter(([, mode]) => mode !== "600"), []);
    assert.ok("a.sql" in found && "app_X.db.gz" in found);
  },
});

Deno.test({
  name: `only users who may read all databases of a snapshot may read its manifest${
    hasModes ? "" : " (skipped: files have no modes here)"
  }`,
  ignore: !hasModes,
  async fn() {
    await using directory = await tempDir();
    const path = (name: string) => join(directory.path, `${name}.db`);
    for (const [name, mode] of [["one", 0o640], ["two", 0o604]] as const) {
      execute(path(name), "CREATE TABLE t (a)");
      Deno.chmodSync(path(name), mode);
    }
    const databases = { one: path("one"), two: path("two") };
    const migrator = new Migrator({ databases, ledger: path("migrations"), migrations: [] });
    const { name } = await migrator.createSnapshot();
    const { mode } = Deno.statSync(join(directory.path, "backups", `snapshot_${name}.json`));
    assert.equal((mode ?? 0) & 0o777, 0o600);
  },
});

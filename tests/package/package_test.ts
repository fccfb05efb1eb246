/** The package as a new user uses it: with Deno only, from a registry, in an empty directory. */
import assert from "node:assert/strict";
import type { CliResult } from "../helpers.ts";
import { configuration, type Registry, root, startRegistry } from "./registry.ts";
import { Stranger } from "./stranger.ts";

const PACKAGE = "jsr:@catalyst/migrate";

/** The documented options instead of `-A`. */
const permissions = /^deno run (--allow-read=data,migrations,\S+ .*) \S+ upgrade$/m
  .exec(Deno.readTextFileSync(`${root}/docs/permissions.md`))?.[1]?.split(" ") ?? [];

/** The same for `new`, which writes to the migrations directory. */
const withMigrations = permissions.map((option) =>
  option.replace(/^--allow-write=data$/, "$&,migrations")
);

function succeeded(result: CliResult): CliResult {
  assert.equal(result.code, 0, result.stderr);
  return result;
}

/** The output without Deno's lines about downloads. */
function narration({ stderr }: CliResult): string {
  return stderr.split("\n").filter((line) => !line.startsWith("Download ")).join("\n");
}

/** Upgrades, which fills the cache. */
async function begin(registry: Registry): Promise<Stranger> {
  const stranger = new Stranger(registry.url);
  succeeded(await stranger.deno(["run", "-A", PACKAGE, "upgrade"]));
  return stranger;
}

Deno.test("in an empty directory with an empty cache `deno run` upgrades, and leaves only data/", async () => {
  await using registry = await startRegistry();
  using stranger = new Stranger(registry.url);
  const run = async (...args: string[]) =>
    succeeded(await stranger.deno(["run", "-A", PACKAGE, ...args]));
  const first = await run("upgrade");
  assert.match(first.stdout, /^3 migrations applied\. /m);
  assert.equal(narration(first), "");
  assert.match((await run("upgrade")).stdout, /^Nothing to apply/);
  assert.match((await run()).stdout, /^Nothing to apply/);
  await run("status", "--check");
  assert.deepEqual(stranger.names(), ["data"]);
});

Deno.test("the documented permissions are enough for every command", async () => {
  assert(permissions.length > 2, "the page names them");
  await using registry = await startRegistry();
  using stranger = new Stranger(registry.url);
  const run = async (line: string, options = permissions) =>
    succeeded(await stranger.deno(["run", "--no-prompt", ...options, PACKAGE, ...line.split(" ")]));
  const lines = [
    ...["upgrade", "upgrade --dry-run", "status --check --json", "history", "schema --format json"],
    ...[
      "verify --data --hash",
      "repair",
      "redo",
      "baseline --to 003 --dry-run",
      "lint",
      "rehearse",
    ],
    ...["export trading --out data/trading.sql.gz", "export trading --table fills --format csv"],
    ...["import data/trading.sql.gz --database trading --yes", "backup", "backup list"],
    ...["backup verify latest", "backup prune --keep 5", "restore latest --yes"],
    ...["restore --undo --yes", "downgrade --steps 1 --yes", "help", "--version"],
  ];
  for (const line of lines) assert.doesNotMatch((await run(line)).stderr, /^(error|warning):/m);
  // The migrations directory is an additional one.
  await run("new add_notes --database trading", withMigrations);
  assert.deepEqual(stranger.names("migrations"), ["004_add_notes.sql"]);
  stranger.write(
    "migrations/004_add_notes.sql",
    "-- database: trading\n-- migrate:up\nALTER TABLE orders ADD COLUMN notes TEXT;\n",
  );
  for (const line of ["lint", "upgrade", "status --check"]) await run(line, withMigrations);
  assert.deepEqual(stranger.names(), ["data", "migrations"]);
});

Deno.test("the downloads of the first command are enough for all others, without a network", async () => {
  const registry = await startRegistry();
  using stranger = await begin(registry);
  await registry[Symbol.asyncDispose]();
  // Enough rows for the export to use threads, and a caller that the snapshot must not block.
  stranger.write(
    "bot.ts",
    `import { createCatalystMigrator, openDatabase } from "${PACKAGE}";
    const migrator = createCatalystMigrator({ dataDir: "data" });
    using db = openDatabase("data/trading.db");
    db.exec("CREATE TABLE ticks (tick_id INTEGER PRIMARY KEY, body BLOB)");
    const insert = db.prepare("INSERT INTO ticks (body) VALUES (zeroblob(20000))");
    db.exec("BEGIN");
    for (let tick = 0; tick < 2000; tick++) insert.run();
    db.exec("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const { files } = await migrator.createSnapshot();
    clearInterval(timer);
    console.log(files.length, turns > 0);`,
  );
  const bot = succeeded(await stranger.deno(["run", "-A", "bot.ts"]));
  assert.deepEqual([bot.stdout, bot.stderr], ["4 true\n", ""]);
  const exported = succeeded(
    await stranger.deno(["run", "-A", PACKAGE, "export", "trading", "--out", "data/trading.sql"]),
  );
  assert.match(exported.stdout, /^data\/trading\.sql /);
  assert.equal(exported.stderr, "");
  for (const line of ["backup", "verify --data", "status --check", "help", "help backup"]) {
    assert.equal(
      succeeded(await stranger.deno(["run", "-A", PACKAGE, ...line.split(" ")])).stderr,
      "",
    );
  }
});

const migration = (name: string, from: string) =>
  `import { defineMigration } from "${from}";
  export default defineMigration({
    name: "${name}",
    database: "trading",
    upgrade: (transaction) => transaction.exec("CREATE TABLE t_${name} (x)"),
    downgrade: "DROP TABLE t_${name};",
  });`;

Deno.test("a migration in TypeScript may import the package that runs it", async () => {
  await using registry = await startRegistry();
  using stranger = await begin(registry);
  const { version } = configuration();
  stranger.write("migrations/004_whole.ts", migration("004_whole", `${PACKAGE}@^${version}`));
  const upgrade = ["run", "--no-prompt", ...withMigrations, PACKAGE, "upgrade"];
  assert.match(succeeded(await stranger.deno(upgrade)).stdout, /applied +004_whole/);
  assert.deepEqual(stranger.names(), ["data", "migrations"]);

  stranger.write("migrations/005_mapped.ts", migration("005_mapped", "@catalyst/migrate"));
  const unmapped = await stranger.deno(upgrade);
  assert.equal(unmapped.code, 1);
  assert.match(unmapped.stderr, /^help: write the full name, such as "jsr:@catalyst\/migrate"/m);
  stranger.write(
    "deno.json",
    JSON.stringify({ lock: false, imports: { "@catalyst/migrate": `${PACKAGE}@^${version}` } }),
  );
  const mapped = upgrade.toSpliced(1, 0, "--config", "deno.json");
  assert.match(succeeded(await stranger.deno(mapped)).stdout, /applied +005_mapped/);
});

Deno.test("`deno install -g` makes a command, with all permissions or those of the documentation", async () => {
  await using registry = await startRegistry();
  using stranger = new Stranger(registry.url);
  const ending = Deno.build.os === "windows" ? ".cmd" : "";
  for (const [name, options] of [["all", ["-A"]], ["few", permissions]] as const) {
    const target = ["--root", name, "-n", "catalyst-migrate", PACKAGE];
    succeeded(await stranger.deno(["install", "-g", ...options, ...target]));
    const command = stranger.file(`${name}/bin/catalyst-migrate${ending}`);
    assert.match(succeeded(await stranger.run(command, ["upgrade"])).stdout, /applied/);
    succeeded(await stranger.run(command, ["status", "--check"]));
    succeeded(await stranger.run(command, ["backup"]));
    assert.equal((await stranger.run(command, ["upgarde"])).code, 2);
    Deno.removeSync(stranger.file("data"), { recursive: true });
  }
  assert.deepEqual(stranger.names(), ["all", "few"]);
});

Deno.test("a program imports the library and all of its entry points", async () => {
  await using registry = await startRegistry();
  using stranger = new Stranger(registry.url);
  stranger.write(
    "program.ts",
    `import { createCatalystMigrator } from "${PACKAGE}";
    import { run } from "${PACKAGE}/cli";
    import { openDatabase, settingsInForce } from "${PACKAGE}/database";
    import { compareSchemas, describeSchema, parseSchema } from "${PACKAGE}/schema";
    const { applied } = await createCatalystMigrator({ dataDir: "data" }).upgrade();
    using db = openDatabase("data/trading.db");
    const { sql, schema } = await describeSchema("data/trading.db");
    const differences = compareSchemas(schema, (await parseSchema(sql)).schema);
    console.log(applied.length, settingsInForce(db).journalMode, differences.length);
    await run(["status", "--check", "--quiet"]);`,
  );
  succeeded(await stranger.deno(["check", "program.ts"]));
  const { stdout } = succeeded(
    await stranger.deno(["run", "--no-prompt", ...permissions, "program.ts"]),
  );
  assert.match(stdout, /^3 wal 0\n/);
  assert.deepEqual(stranger.names(), ["data", "program.ts"]);
});

Deno.test("a smaller entry point loads fewer modules", async () => {
  await using registry = await startRegistry();
  using stranger = new Stranger(registry.url);
  stranger.write("program.ts", `import "${PACKAGE}/database";`);
  succeeded(await stranger.deno(["run", "program.ts"]));
  const loaded = registry.requests.filter((path) => path.endsWith(".ts"));
  assert(loaded.length < 20, loaded.join("\n"));
});

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { anotherUser, reasonForNoOtherUser, showToAll } from "../another_user.ts";
import { kept, prepare, run } from "../cli_helpers.ts";
import { tempDir } from "../helpers.ts";
import { examine, traces } from "../lib/doctor/support.ts";

/** Runs `doctor` as text, checks its form, and returns it. */
async function read(
  options: Parameters<typeof run>[1],
  args: readonly string[] = [],
): Promise<{ readonly code: number; readonly text: string }> {
  const result = await run(["doctor", ...args], options);
  assert.equal(result.stderr, "", kept(["doctor"], options, result));
  for (const line of result.stdout.split("\n")) {
    // Only an unbreakable word, such as a path, may be longer.
    assert(line.length <= 80 || !line.trim().includes(" "), line);
    assert.match(line, /^[\x20-\x7e]*$/);
  }
  return { code: result.code, text: result.stdout };
}

Deno.test("doctor's text describes problems in words, in 80 columns, with the next step", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  const fine = await read({ cwd });
  assert.equal(fine.code, 0);
  assert.match(fine.text, /^Versions\n {2}ok {7}catalyst-migrate /);
  assert.doesNotMatch(fine.text, /^ {2}problem/m);
  await Deno.writeTextFile(join(cwd, "data/trading.db"), "no database ".repeat(20));
  const wrong = await read({ cwd });
  assert.equal(wrong.code, 1);
  assert.match(
    wrong.text,
    /^ {2}problem {2}trading: data\/trading\.db is not an SQLite database, or it is\n {11}encrypted \[not-a-database\]\n {11}help: move the file away or decrypt it$/m,
  );
  assert.match(wrong.text, /\n1 problem, \d notices?\.\n$/);
});

Deno.test("doctor --quiet shows only notices and problems, and nothing if there are none", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  const { codes } = await examine({ cwd });
  const quiet = await read({ cwd }, ["--quiet"]);
  if (codes("notice").length === 0) assert.equal(quiet.text, "");
  await Deno.truncate(join(cwd, "data/positions.db"), 4096);
  const { text } = await read({ cwd }, ["--quiet"]);
  assert.match(text, /^ {2}problem {2}positions: .*\n.*truncated/m);
  assert.doesNotMatch(text, /^ {2}ok/m);
  const { checks } = await examine({ cwd }, ["--quiet"]);
  assert(checks.every(({ level }) => level !== "ok"));
});

type Damage = (bytes: Uint8Array) => Uint8Array;
const damages: Readonly<Record<string, Damage>> = {
  "not-a-database": (bytes) => bytes.fill(7, 0, 16),
  "database-cut-short": (bytes) => bytes.subarray(0, -4096),
  "database-damaged": (bytes) => bytes.fill(7, 100, 4096),
};

for (const [code, damage] of Object.entries(damages)) {
  for (const name of ["trading", "migrations"]) {
    Deno.test(`a damaged ${name}.db is found, and the others are examined: ${code}`, async () => {
      await using directory = await tempDir();
      const cwd = directory.path;
      await prepare(["upgrade"], { cwd });
      const path = join(cwd, `data/${name}.db`);
      await Deno.writeFile(path, damage(await Deno.readFile(path)));
      const before = traces(cwd);
      const diagnosis = await examine({ cwd });
      assert.deepEqual(traces(cwd), before);
      assert.equal(diagnosis.only(code).database, name);
      assert.equal(
        diagnosis.checks.filter((check) => check.code === "database-readable").length,
        3,
      );
    });
  }
}

Deno.test("invalid variables are reported one by one, and doctor continues with the defaults", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  const env = { SQLITE_SYNCHRONOUS: "MAYBE", SQLITE_CACHE_SIZE: "much", SQLITE_MMAP_SIZE: "0" };
  const { checks, only } = await examine({ cwd, env });
  const wrong = checks.filter(({ code }) => code === "variable-wrong").map(({ detail }) => detail);
  assert.equal(wrong.length, 2);
  assert.match(wrong[0] ?? "", /^SQLITE_SYNCHRONOUS="MAYBE": expected NORMAL/);
  assert.match(only("settings-in-force").detail, /synchronous NORMAL, cache 10000/);
  only("migrations-applied");
});

Deno.test("a risky synchronous setting is a notice", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  const { only } = await examine({ cwd, env: { SQLITE_SYNCHRONOUS: "OFF" } });
  assert.equal(only("synchronous-off").level, "notice");
  assert.match(only("settings-in-force").detail, /synchronous OFF/);
});

Deno.test("an impossible path is reported, regardless of its source", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await Deno.writeTextFile(join(cwd, "notes.txt"), "mine");
  const env = { DB_PATH_PREFIX: "no/such/test_" };
  const missing = await examine({ cwd, env });
  assert.match(
    missing.only("directory-missing").help ?? "",
    /mkdir -p no\/such, or correct DB_PATH_/,
  );
  assert.match(
    missing.only("paths").detail,
    /^the databases are no\/such\/test_NAME\.db, from DB_PATH/,
  );
  const above = await examine({ cwd }, ["--data-dir", "no/such"]);
  assert.equal(above.only("directory-missing").level, "problem");
  const file = await examine({ cwd, env }, ["--data-dir", "notes.txt"]);
  assert.equal(file.only("directory-is-file").level, "problem");
  assert.match(file.only("variable-unused").detail, /DB_PATH_PREFIX=no\/such\/test_ is not used/);
  const inside = await examine({ cwd }, ["--data-dir", "notes.txt/deeper"]);
  assert.equal(inside.only("directory-unreachable").level, "problem");
  await Deno.mkdir(join(cwd, "data/trading.db"), { recursive: true });
  const blocked = await examine({ cwd });
  assert.equal(blocked.only("database-is-directory").database, "trading");
});

Deno.test("wrong usage is wrong usage here too", async () => {
  await using directory = await tempDir();
  for (const args of [["--data-dir", ""], ["--timeout", "soon"], ["--migrations-dir", ""], ["x"]]) {
    const { code, stderr } = await run(["doctor", ...args], { cwd: directory.path });
    assert.equal(code, 2);
    assert.match(stderr, /^error: Cannot /);
  }
});

const VARIABLES =
  "DB_PATH_PREFIX,CATALYST_CONFIG,SQLITE_WAL_MODE,SQLITE_SYNCHRONOUS,SQLITE_CACHE_SIZE," +
  "SQLITE_MMAP_SIZE";
const granted = [
  "--allow-read=data,catalyst.json,catalyst.jsonc",
  "--allow-write=data",
  `--allow-env=${VARIABLES}`,
];

for (const without of [0, 1, 2, null]) {
  const permissions = without === null ? [] : granted.toSpliced(without, 1);
  const name = without === null ? "any permission" : granted[without]?.replace(/=.*/, "");
  Deno.test(`without ${name} doctor reports what is missing and continues`, async () => {
    await using directory = await tempDir();
    const cwd = directory.path;
    await prepare(["upgrade"], { cwd });
    const diagnosis = await examine({ cwd, permissions });
    const missing = without === null ? granted : [granted[without]];
    assert.equal(diagnosis.only("permission-missing").help, `run it with ${missing.join(" ")}`);
    diagnosis.only("permissions-narrow");
    diagnosis.only("deno");
    assert.equal((await read({ cwd, permissions })).code, 1);
  });
}

Deno.test("with the documented permissions doctor examines the databases as far as this Deno can", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  const diagnosis = await examine({ cwd, permissions: granted });
  assert.deepEqual(diagnosis.codes("problem"), []);
  const readable = diagnosis.checks.filter(({ code }) => code === "database-readable").length;
  if (readable < 4) {
    // An older Deno cannot open a database from its bytes.
    assert.equal(readable, 0);
    const { detail } = diagnosis.only("databases-not-read");
    assert.match(detail, /^positions, trading, ml_training, the ledger: not examined/);
  }
  diagnosis.only("permissions-narrow");
});

const noTerminal = reasonForNoTerminal();

for (const permissions of [[], granted.slice(0, 1), granted]) {
  const given = permissions.length === 0 ? "no permission" : permissions.join(" ");
  Deno.test({
    name: `at a terminal, with ${given}, doctor does not prompt` +
      (noTerminal === null ? "" : ` (skipped: ${noTerminal})`),
    ignore: noTerminal !== null,
    async fn() {
      await using directory = await tempDir();
      const cwd = directory.path;
      await prepare(["upgrade"], { cwd });
      const cli = fileURLToPath(new URL("../../cli.ts", import.meta.url));
      const line = [Deno.execPath(), "run", ...permissions, cli, "doctor"]
        .map((word) => `'${word}'`).join(" ");
      const { stdout } = await new Deno.Command("script", {
        args: ["-qec", line, "/dev/null"],
        cwd,
        stdin: "null",
        env: { DB_PATH_PREFIX: "", NO_COLOR: "1" },
        signal: AbortSignal.timeout(60_000), // a prompt would never be answered
      }).output();
      const text = new TextDecoder().decode(stdout);
      assert.doesNotMatch(text, /requests|Allow\?/);
      assert.match(text, /\d problems?, \d+ notices?\./);
    },
  });
}

/** Why no terminal is available here; null if one is. */
function reasonForNoTerminal(): string | null {
  if (Deno.build.os !== "linux") return "`script` takes other flags here";
  try {
    const args = ["-qec", "true", "/dev/null"];
    return new Deno.Command("script", { args, stdin: "null" }).outputSync().success
      ? null
      : "`script` has no terminal";
  } catch {
    return "there is no `script`";
  }
}

const noOther = reasonForNoOtherUser();

Deno.test({
  name: "as another user doctor reports what cannot be read or written, and its owner" +
    (noOther === null ? "" : ` (skipped: ${noOther})`),
  ignore: noOther !== null,
  async fn() {
    await using directory = await tempDir();
    const cwd = directory.path;
    await prepare(["upgrade"], { cwd });
    showToAll(cwd);
    await using cache = await tempDir();
    await Deno.chmod(cache.path, 0o777);
    const other = { cwd, env: { DENO_DIR: cache.path }, through: anotherUser };
    await Deno.chmod(join(cwd, "data/positions.db"), 0o600);
    const before = traces(cwd);
    const { only, checks } = await examine(other);
    assert.deepEqual(traces(cwd), before);
    assert.match(only("directory-read-only").detail, /user 0 and group 0, with mode 755$/);
    assert.match(
      only("database-unreadable").detail,
      /positions.*of user 0 and group 0, with mode 600$/,
    );
    assert.equal(checks.filter(({ code }) => code === "database-read-only").length, 3);
    only("openers-partial");
    await Deno.chmod(join(cwd, "data"), 0o700);
    const closed = await examine(other);
    assert.equal(closed.checks.filter(({ code }) => code === "database-unreachable").length, 4);
  },
});

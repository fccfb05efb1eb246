/** Tests of the build on copies of the checkout. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BuildError, checkMigrations, moduleGraph } from "../../.ci/graph.ts";
import type { CliResult } from "../helpers.ts";
import { copyTree } from "../lib/snapshot/files.ts";
import { builtExecutable } from "./build.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const built = await builtExecutable();
const missing = built.kind === "missing" ? built.reason : null;

/** A copy of the sources of the executable. */
class Checkout implements Disposable {
  readonly path: string = Deno.makeTempDirSync({ prefix: "catalyst-checkout-" });

  constructor() {
    for (const name of [".ci", "lib", "migrations"]) copyTree(join(root, name), this.file(name));
    for (const name of ["cli.ts", "deno.json", "deno.lock"]) {
      Deno.copyFileSync(join(root, name), this.file(name));
    }
  }

  file(name: string): string {
    return join(this.path, name);
  }

  /** Changes a file's text. */
  edit(name: string, change: (text: string) => string): void {
    const before = Deno.readTextFileSync(this.file(name));
    const after = change(before);
    assert.notEqual(after, before);
    Deno.writeTextFileSync(this.file(name), after);
  }

  async run(
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<CliResult> {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-lock", ...args],
      cwd: this.path,
      env: { NO_COLOR: "1", DB_PATH_PREFIX: "", ...env },
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  }

  /** Builds; a failed build must leave nothing behind. */
  async fails(message: RegExp, env: Readonly<Record<string, string>> = {}): Promise<void> {
    const { code, stderr } = await this.run([".ci/compile.ts"], env);
    assert.equal(code, 1);
    assert.match(stderr, message);
    assert.match(stderr, /^help: ./m);
    assert(![...Deno.readDirSync(this.path)].some(({ name }) => name === "dist"));
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

Deno.test({
  name: "the same sources produce the same executable in any directory at any time" +
    (missing === null ? "" : ` (skipped: ${missing})`),
  ignore: missing !== null,
  async fn() {
    using checkout = new Checkout();
    for (const name of ["cli.ts", "lib/base/version.ts", "migrations/mod.ts"]) {
      Deno.utimeSync(checkout.file(name), 1e9, 1e9);
    }
    const { code, stderr } = await checkout.run([".ci/compile.ts"], { TZ: "UTC5" });
    assert.equal(code, 0, stderr);
    const licenses = Deno.readTextFileSync(checkout.file("dist/LICENSES.txt"));
    assert.match(licenses, /^@libsql\/hrana-client \d[^]*MIT License[^]*^@observablehq\/plot \d/m);
    const sums = Deno.readTextFileSync(checkout.file("dist/SHA256SUMS"));
    assert.match(sums, /^[0-9a-f]{64} {2}catalyst-migrate(\.exe)?\n$/);
    assert.deepEqual(
      [...Deno.readDirSync(checkout.file("dist"))].map(({ name }) => name).toSorted(),
      ["LICENSES.txt", "SHA256SUMS", sums.trim().split("  ")[1]],
    );
    assert(built.kind === "built");
    assert.equal(Deno.readTextFileSync(join(built.path, "../SHA256SUMS")), sums);
  },
});

Deno.test("a migration that would be missing from the executable stops the build", async () => {
  using checkout = new Checkout();
  Deno.writeTextFileSync(checkout.file("migrations/004_forgotten.ts"), "export default {};\n");
  await checkout.fails(/^error: Cannot build: migrations\/004_forgotten\.ts would not be in/m);
});

Deno.test("a migration that is imported but not in the registry stops the build", async () => {
  using checkout = new Checkout();
  checkout.edit("migrations/mod.ts", (text) => text.replace(/^ {2}createTradingTables,\n/m, ""));
  await checkout.fails(
    /^error: Cannot build: migrations\/002_create_trading_tables\.ts is not in/m,
  );
});

Deno.test("a build without migrations is refused, and the executable would do nothing", async () => {
  using checkout = new Checkout();
  checkout.edit(
    "migrations/mod.ts",
    () =>
      'import type { Migration } from "../lib/migration/migration.ts";\n' +
      "export const bundledMigrations: readonly Migration[] = [];\n",
  );
  await checkout.fails(
    /^error: Cannot build: migrations\/001_create_positions_tables\.ts is not in the registry/m,
  );
  assert.throws(
    () => checkMigrations([], { modules: [], registry: [] }),
    /no bundled migrations/,
  );
  for (const command of ["upgrade", "status", "new"]) {
    const { code, stdout, stderr } = await checkout.run(["cli.ts", command]);
    assert.deepEqual({ code, stdout }, { code: 1, stdout: "" });
    assert.match(
      stderr,
      /^error: Cannot run catalyst-migrate: this build has no bundled migrations\nhelp: download it again/,
    );
  }
  assert.equal((await checkout.run(["cli.ts", "--version"])).code, 0);
});

Deno.test("a failed build keeps the previous executable and leaves no partial files", async () => {
  using checkout = new Checkout();
  const env = { DENORT_BIN: checkout.file("no-such-file") };
  await checkout.fails(/^error: Cannot build for \S+: `deno compile` failed$/m, env);
  Deno.mkdirSync(checkout.file("dist"));
  Deno.writeTextFileSync(checkout.file("dist/SHA256SUMS"), "before");
  assert.equal((await checkout.run([".ci/compile.ts"], env)).code, 1);
  assert.deepEqual([...Deno.readDirSync(checkout.file("dist"))].map(({ name }) => name), [
    "SHA256SUMS",
  ]);
});

Deno.test("the runtime of this machine is not used for another one", async () => {
  using checkout = new Checkout();
  const target = Deno.build.target === "aarch64-unknown-linux-gnu"
    ? "x86_64-unknown-linux-gnu"
    : "aarch64-unknown-linux-gnu";
  // Without this check it would be used silently.
  const { code, stderr } = await checkout.run([".ci/compile.ts", "--target", target], {
    DENORT_BIN: Deno.env.get("DENORT_BIN") ?? Deno.execPath(),
  });
  if (code === 0) {
    // The other system's runtime could be downloaded: the file is for its processor.
    const header = Deno.readFileSync(checkout.file(`dist/catalyst-migrate-${target}`));
    assert.equal(header[18], target.startsWith("aarch64") ? 0xb7 : 0x3e);
  } else assert.match(stderr, /help: .*DENORT_BIN is only for this machine/);
});

Deno.test("a wrong target and conflicting options are refused", async () => {
  using checkout = new Checkout();
  const wrong = await checkout.run([".ci/compile.ts", "--target", "vax"]);
  assert.match(wrong.stderr, /^error: Cannot build for "vax": .*\nhelp: the targets are x86_64/);
  const both = await checkout.run([".ci/compile.ts", "--all", "--target", "vax"]);
  assert.match(both.stderr, /^error: .*--all and --target/);
});

Deno.test("a module that starts a thread of another module stops the build", async () => {
  using checkout = new Checkout();
  const options = { deno: Deno.execPath(), root: checkout.path };
  const start = (url: string) =>
    Deno.writeTextFileSync(
      checkout.file("a.ts"),
      `export const start = () => new Worker(new URL(${url}), { type: "module" });\n`,
    );
  start('"./b.ts", import.meta.url');
  await assert.rejects(moduleGraph("a.ts", options), (error) => {
    assert(error instanceof BuildError);
    assert.match(error.message, /a\.ts starts a thread of another module/);
    return true;
  });
  start("import.meta.url");
  assert.deepEqual(await moduleGraph("a.ts", options), ["a.ts"]);
});

import assert from "node:assert/strict";
import { configuration, dryRun, root } from "./registry.ts";

Deno.test("`deno publish` has nothing to warn of, and publishes what belongs into a package", async () => {
  const { said, files } = await dryRun(["--no-check"]); // `deno task check` publishes with a type check
  // These load packages by variable on purpose: Deno downloads literally named packages at every start.
  const warnings = said.matchAll(/^\s*(?:warning|error)\b(.*)\n.*?--> (\S+?):\d+:\d+$/gm);
  assert.deepEqual(
    [...warnings].map(([, what = "", path = ""]) => `${path.slice(root.length)}${what}`).toSorted(),
    ["lib/base/package.ts", "lib/report/make_report.ts"].map((path) =>
      `${path}[unanalyzable-dynamic-import]: unable to analyze dynamic import`
    ),
  );
  assert.equal(said.match(/^\s*(warning|error)\b/gm)?.length, 2);
  const others = files.filter((file) => !/^(lib|migrations)\/[a-z0-9_/]+\.ts$/.test(file));
  assert.deepEqual(others.toSorted(), [
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "cli.ts",
    "deno.json",
    "mod.ts",
  ]);
  for (const path of Object.values(configuration().exports)) {
    assert(files.includes(path.replace("./", "")), path);
  }
});

Deno.test("the version is the same everywhere", async () => {
  const { version } = await import("../../lib/base/version.ts");
  assert.equal(configuration().version, version);
});

Deno.test("importing all modules reads no file, starts nothing and needs no permission", async () => {
  const lines = Object.values(configuration().exports).map((path, index) =>
    `import * as module_${index} from ${JSON.stringify(new URL(`../../${path}`, import.meta.url))};
    console.log(Object.keys(module_${index}).length > 0);`
  );
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, lines.join("\n"));
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--no-check", "--quiet", file],
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    assert.equal(code, 0, decoder.decode(stderr));
    assert.equal(decoder.decode(stdout), "true\n".repeat(lines.length));
    assert.equal(decoder.decode(stderr), "");
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("running mod.ts as a program runs the command line", async () => {
  const line = (main: string, args: readonly string[]) =>
    new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", "--quiet", main, ...args],
      cwd: root,
      env: { NO_COLOR: "1" },
      stdin: "null",
    }).output();
  for (const args of [["--help"], ["upgrade", "--data-dir", "no/such/place"], ["upgarde"]]) {
    const decoder = new TextDecoder();
    const [one, other] = await Promise.all([line("mod.ts", args), line("cli.ts", args)]);
    assert.equal(one.code, other.code);
    assert.equal(decoder.decode(one.stdout), decoder.decode(other.stdout));
    assert.equal(decoder.decode(one.stderr), decoder.decode(other.stderr));
    assert.notEqual(one.stdout.length + one.stderr.length, 0);
  }
});

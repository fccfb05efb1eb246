import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import config from "../../deno.json" with { type: "json" };
import { releaseTargets } from "../../.ci/compile.ts";
import { findingsOf } from "../../.ci/lint_workflows.ts";
import { actionsOf, faultsOf } from "./workflow_rules.ts";

const root = new URL("../../", import.meta.url);
const read = (path: string) => Deno.readTextFileSync(new URL(path, root));
const directory = new URL(".github/workflows/", root);
const workflows = [...Deno.readDirSync(directory)].map(({ name }) => ({
  name,
  text: Deno.readTextFileSync(new URL(name, directory)),
}));

const good = `name: Good
on: [push]
permissions: {}
jobs:
  one:
    runs-on: ubuntu-latest
    timeout-minutes: 5
    permissions:
      contents: read
    steps:
      - uses: someone/something@0123456789abcdef0123456789abcdef01234567 # v1.2.3
        with:
          name: \${{ matrix.name }}
      - run: |
          echo one
          echo two
`;

Deno.test("every workflow follows the rules", () => {
  assert.ok(workflows.length >= 2);
  for (const { name, text } of workflows) assert.deepEqual(faultsOf(text), [], name);
});

Deno.test("violations of the rules are found", () => {
  const broken = (from: string, to: string) => {
    assert.ok(good.includes(from));
    return faultsOf(good.replace(from, to));
  };
  assert.deepEqual(faultsOf(good), []);
  assert.deepEqual(broken("permissions: {}\n", ""), ["the workflow has no permissions"]);
  assert.deepEqual(broken("    permissions:\n      contents: read\n", ""), [
    "one has no permissions",
  ]);
  assert.deepEqual(broken("    timeout-minutes: 5\n", ""), ["one has no timeout-minutes"]);
  for (
    const pin of ["v1", "main", "0123456789abcdef", "0123456789abcdef0123456789abcdef01234567"]
  ) {
    const used = `someone/something@${pin}`;
    assert.deepEqual(broken(/someone\/.*/.exec(good)?.[0] ?? "", used), [
      `${used} is not pinned by a commit with its version beside it`,
    ]);
  }
  assert.deepEqual(broken("echo two", "echo ${{ github.head_ref }}"), [
    "an expression in a script: echo ${{ github.head_ref }}",
  ]);
});

Deno.test("an action has the same commit everywhere", () => {
  const pins = new Map<string, string>();
  for (const [action, pin] of workflows.flatMap(({ text }) => actionsOf(text))) {
    assert.equal(pins.get(action) ?? pin, pin, action);
    pins.set(action, pin);
  }
});

Deno.test("the workflows use the Deno versions in the README", () => {
  const readme = read("README.md");
  const newest = /deno@([\d.]+\d)/.exec(readme)?.[1] ?? "";
  const oldest = /([\d.]+\d) or newer/.exec(readme)?.[1] ?? "";
  assert.match(read(".github/workflows/ci.yml"), new RegExp(`deno: \\[${oldest}, ${newest}\\]`));
  for (const { name, text } of workflows) {
    for (const [, version] of text.matchAll(/deno-version: (\d\S*)/g)) {
      assert.equal(version, newest, name);
    }
  }
});

Deno.test("a release tries an executable for each target on its own system", () => {
  const tried = [...read(".github/workflows/release.yml").matchAll(/- target: (\S+)/g)];
  assert.deepEqual(
    tried.map(([, target]) => target).toSorted(),
    releaseTargets.toSorted(),
  );
});

Deno.test("of actionlint's findings, only labels of newer machines are ignored", () => {
  assert.deepEqual(
    findingsOf(
      'a.yml:71:17 label "macos-15-intel" is unknown. available labels are "x" [ runner-label ]\n' +
        '  71 |             os: macos-15-intel\n     |   ^\na.yml:3:1 label "x" is unknown. [ runner-label ]\n',
    ),
    ['a.yml:3:1 label "x" is unknown. [ runner-label ]'],
  );
});

const isWindows = Deno.build.os === "windows";

Deno.test({
  name: "the smoke test passes with a working program and fails with a broken one" +
    (isWindows ? " (skipped: the programs are shell scripts)" : ""),
  ignore: isWindows,
  fn: smokeTest,
});

async function smokeTest(): Promise<void> {
  const place = await Deno.makeTempDir();
  try {
    const cli = fileURLToPath(new URL("cli.ts", root));
    const smoke = async (script: string, ...version: string[]) => {
      const program = `${place}/catalyst-migrate`;
      await Deno.writeTextFile(program, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
      const { code, stdout, stderr } = await new Deno.Command("bash", {
        args: [fileURLToPath(new URL(".ci/smoke", root)), program, ...version],
        env: { DB_PATH_PREFIX: "data/", NO_COLOR: "1" },
      }).output();
      const decoder = new TextDecoder();
      return { code, text: decoder.decode(stdout) + decoder.decode(stderr) };
    };
    const real = `exec '${Deno.execPath()}' run -A '${cli}' "$@"`;
    const works = await smoke(real, config.version);
    assert.equal(works.code, 0, works.text);
    assert.match(works.text, /smoke: ok\n$/);
    assert.match((await smoke(real, "0.0.0")).text, /smoke: --version should begin with/);
    assert.match(
      (await smoke(`[ "$1" = upgrade ] || ${real}`)).text,
      /smoke: upgrade made no data\/positions\.db\n$/,
    );
    assert.equal((await smoke(`[ "$1" != status ] || exit 1\n${real}`)).code, 1);
  } finally {
    await Deno.remove(place, { recursive: true });
  }
}

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { contentOf, insertRows, runCli, tempDir } from "../../helpers.ts";
import { reasonForNoTerminal, runArgumentsOnTerminal } from "../terminal/program.ts";

const noTerminal = reasonForNoTerminal();
const onTerminal = noTerminal === null ? "" : ` (skipped: ${noTerminal})`;
const cli = fileURLToPath(new URL("../../../cli.ts", import.meta.url));

Deno.test({
  name: `answering no is not an error, and changes nothing${onTerminal}`,
  ignore: noTerminal !== null,
  async fn() {
    await using dir = await tempDir();
    const data = ["--data-dir", dir.path];
    await runCli(["upgrade", ...data]);
    insertRows(dir.database("trading"), "trading");
    await runCli(["backup", ...data]);
    const dump = `${dir.path}/trading.sql`;
    await runCli(["export", "trading", "--out", dump, ...data]);
    const before = contentOf(dir.database("trading"));
    for (
      const args of [
        ["downgrade", "--migration", "002"],
        ["redo", "002"],
        ["restore", "latest"],
        ["import", dump, "--database", "trading"],
      ]
    ) {
      const { code, stdout } = await runArgumentsOnTerminal(["run", "-A", cli, ...args, ...data], {
        input: "no\n",
      });
      assert.match(stdout, /Type the whole word "yes" to continue: /, args.join(" "));
      assert.match(stdout, /Nothing was changed\.\n$/, args.join(" "));
      assert.doesNotMatch(stdout, /error/i);
      assert.equal(code, 1);
    }
    assert.deepEqual(contentOf(dir.database("trading")), before);
  },
});

Deno.test("in a non-interactive session the error names --yes", async () => {
  await using dir = await tempDir();
  const data = ["--data-dir", dir.path];
  await runCli(["upgrade", ...data]);
  insertRows(dir.database("trading"), "trading");
  const { code, stderr } = await runCli(["downgrade", "--migration", "002", ...data]);
  assert.equal(code, 1);
  assert.match(stderr, /^error: Cannot roll back 002: /m);
  assert.match(stderr, /--yes/);
});

import assert from "node:assert/strict";
import { reasonForNoTerminal, runOnTerminal, runProgram } from "./program.ts";

const noTerminal = reasonForNoTerminal();
const onTerminal = noTerminal === null ? "" : ` (skipped: ${noTerminal})`;

/** Works for a while, and shows how far it has come. */
function work(body: string, json = false): string {
  return `
    const { createProgress } = await import("${new URL(
    "../../../lib/terminal/interaction.ts",
    import.meta.url,
  )}");
    const output = createOutput({ json: ${json} });
    const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
    ${body}
  `;
}

const LONG = `
  const progress = createProgress(output);
  await wait(600);
  progress.show("copying orders", 0.25);
  progress.show("copying orders", 0.259);
  progress.show("copying orders", 0.5);
  progress.show("copying fills", 0 / 0);
  progress.end();
  progress.end();
  output.answer("done");
`;

Deno.test("without a terminal nothing is shown", async () => {
  const { stdout, stderr } = await runProgram(work(LONG));
  assert.deepEqual([stdout, stderr], ["done\n", ""]);
});

Deno.test({
  name: `on a terminal long work has one line, which is taken away at the end${onTerminal}`,
  ignore: noTerminal !== null,
  async fn() {
    const { stdout } = await runOnTerminal(work(LONG));
    const line = (text: string) => `\r${text}\x1b[K`;
    assert.equal(
      stdout,
      line("copying orders 25 %") + line("copying orders 50 %") + line("copying fills 0 %") +
        `${line("")}done\n`,
    );
  },
});

Deno.test({
  name: `short work, and one whose answer is JSON, has none${onTerminal}`,
  ignore: noTerminal !== null,
  async fn() {
    const short = `
      const progress = createProgress(output);
      progress.show("copying orders", 0.5);
      progress.end();
    `;
    assert.equal((await runOnTerminal(work(short))).stdout, "");
    assert.equal((await runOnTerminal(work(LONG, true))).stdout, "");
  },
});

Deno.test({
  name: `an error does not stand behind the line${onTerminal}`,
  ignore: noTerminal !== null,
  async fn() {
    const { stdout } = await runOnTerminal(work(`
      try {
        using progress = createProgress(output);
        await wait(600);
        progress.show("copying orders", 0.5);
        throw new errors.UsageError("Cannot continue: no");
      } catch (error) {
        output.error(error);
      }
    `));
    // deno-lint-ignore no-control-regex -- a terminal's codes are what is looked for
    const plain = stdout.replace(/\x1b\[\d*m/g, "");
    assert.equal(plain, "\rcopying orders 50 %\x1b[K\r\x1b[Kerror: Cannot continue: no\n");
  },
});

import assert from "node:assert/strict";
import { estimate, renderLine } from "../../../lib/terminal/progress.ts";
import { reasonForNoTerminal, runOnTerminal, runProgram } from "./program.ts";

const noTerminal = reasonForNoTerminal();
const onTerminal = noTerminal === null ? "" : ` (skipped: ${noTerminal})`;

/** Works for a while, and shows its progress. */
function work(body: string, json = false): string {
  return `
    const { createProgress } = await import("${new URL(
    "../../../lib/terminal/progress.ts",
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
  name: `on a terminal long work has one line, which is removed at the end${onTerminal}`,
  ignore: noTerminal !== null,
  async fn() {
    const { stdout } = await runOnTerminal(work(LONG));
    const line = (text: string) => `\r${text}\x1b[K`;
    assert.equal(
      stdout,
      line("copying orders 25 %") + line("copying orders 50 %") + line("copying fills") +
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
  name: `an error is not printed after the line${onTerminal}`,
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
    // deno-lint-ignore no-control-regex -- the test is about a terminal's codes
    const plain = stdout.replace(/\x1b\[\d*m/g, "");
    assert.equal(plain, "\rcopying orders 50 %\x1b[K\r\x1b[Kerror: Cannot continue: no\n");
  },
});

Deno.test("during a step the share comes near its end and never passes it", () => {
  const step = { share: 0.2, until: 0.5 };
  const shares = [0, 1, 10, 1000].map((stepSeconds) =>
    Math.round(100 * estimate(step, { seconds: 2 + stepSeconds, stepSeconds, expected: 10 }))
  );
  assert.deepEqual(shares, [20, 29, 49, 50]);
});

Deno.test("the time left is shown once the speed is known", () => {
  const after = (seconds: number) => renderLine("copying trading", { done: 0.25, seconds });
  assert.equal(after(1), "copying trading 25 %");
  assert.equal(after(4), "copying trading 25 %, 12 s left");
  assert.equal(after(40), "copying trading 25 %, 2 min 0 s left");
  const pipe = "reading stdin: 1.0 MB";
  assert.equal(renderLine(pipe, { done: null, seconds: 9 }), pipe);
});

Deno.test({
  name: `the share never goes back, unless other work begins${onTerminal}`,
  ignore: noTerminal !== null,
  async fn() {
    const { stdout } = await runOnTerminal(work(`
      const progress = createProgress(output);
      progress.show("hashing", 0, 1);
      await wait(2000);
      progress.show("hashing", 0.01, 1);
      progress.show("hashing", 0.02, 1);
      progress.show("exporting", 0, 1);
      progress.end();
    `));
    const shares = [...stdout.matchAll(/(\d+) %/g)].map(([, share]) => Number(share));
    const before = shares.slice(0, -1);
    assert.deepEqual(before, before.toSorted((a, b) => a - b));
    assert.equal(shares.at(-1), 0);
  },
});

Deno.test({
  name: `while a statement blocks the thread, the line goes on${onTerminal}`,
  ignore: noTerminal !== null,
  async fn() {
    const { stdout } = await runOnTerminal(work(`
      {
        using progress = createProgress(output, { bytes: 100e6 });
        progress.show("checking trading", 0, 0.5);
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3000);
      }
      output.answer("done");
    `));
    const lines = stdout.match(/checking trading \d+ %(?:, \d+ s left)?/g) ?? [];
    assert(lines.length > 3, stdout);
    assert.match(lines.at(-1) ?? "", /left$/);
    assert(stdout.endsWith("\r\x1b[Kdone\n"), stdout);
  },
});

Deno.test({
  name: `the line is not wider than the terminal${onTerminal}`,
  ignore: noTerminal !== null,
  async fn() {
    const body = `
      const progress = createProgress(output);
      await wait(600);
      progress.show("copying " + "x".repeat(100), 0.5);
      progress.end();
    `;
    const { stdout } = await runOnTerminal(work(body), { columns: 40 });
    assert.equal(stdout, `\rcopying ${"x".repeat(31)}\x1b[K\r\x1b[K`);
  },
});

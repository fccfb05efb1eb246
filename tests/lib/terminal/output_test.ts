import assert from "node:assert/strict";
import { programArguments, reasonForNoTerminal, runOnTerminal, runProgram } from "./program.ts";

const EVERYTHING = `
  output.answer("the answer");
  output.json({ ok: true });
  output.narrate("narration");
  output.detail("detail");
  output.warn("watch out");
`;
const noTerminal = reasonForNoTerminal();
const onTerminal = noTerminal === null ? "" : ` (skipped: ${noTerminal})`;

Deno.test("the answer goes to stdout and the narration to stderr", async () => {
  const result = await runProgram(`const output = createOutput(); ${EVERYTHING}`);
  assert.equal(result.stdout, "the answer\n");
  assert.equal(result.stderr, "narration\nwarning: watch out\n");
});

Deno.test("quiet keeps the warnings, verbose adds the details", async () => {
  const quiet = await runProgram(`const output = createOutput({ quiet: true }); ${EVERYTHING}`);
  assert.equal(quiet.stdout, "the answer\n");
  assert.equal(quiet.stderr, "warning: watch out\n");
  const verbose = await runProgram(`const output = createOutput({ verbose: true }); ${EVERYTHING}`);
  assert.equal(verbose.stderr, "narration\ndetail\nwarning: watch out\n");
});

Deno.test("in JSON mode stdout is one document", async () => {
  const result = await runProgram(`
    const output = createOutput({ json: true });
    output.answer("not this");
    output.json({ rows: 3n, big: 2n ** 60n, name: "a\\x9b" });
    output.narrate("narration");
  `);
  assert.equal(
    result.stdout,
    `{\n  "rows": 3,\n  "big": "1152921504606846976",\n  "name": "a\\u009b"\n}\n`,
  );
  assert.equal(result.stderr, "narration\n");
});

Deno.test("an error is one error line and its help", async () => {
  const result = await runProgram(`
    createOutput().error(new errors.UsageError("Cannot read a\\nb\\x1b[2J: no", { help: "one\\ntwo" }));
  `);
  assert.equal(result.stdout, "");
  assert.equal(result.stderr, "error: Cannot read a\\nb\\x1b[2J: no\nhelp: one\n      two\n");
});

Deno.test("an error shows its stack trace and its cause with verbose only", async () => {
  const body = `.error(new errors.UsageError("Cannot do it", { cause: new Error("the cause") }));`;
  const plain = await runProgram(`createOutput()${body}`);
  assert.equal(plain.stderr, "error: Cannot do it\n");
  const verbose = await runProgram(`createOutput({ verbose: true })${body}`);
  assert.match(verbose.stderr, /^error: Cannot do it\nUsageError: Cannot do it\n {4}at /);
  assert.match(verbose.stderr, /\ncaused by: Error: the cause\n {4}at /);
});

Deno.test("an error in JSON mode is the document, with the work done before it", async () => {
  const result = await runProgram(`
    createOutput({ json: true }).error(new TypeError("odd"), { applied: ["001"] });
  `);
  assert.equal(result.stderr, "");
  const document: Record<string, unknown> = JSON.parse(result.stdout);
  assert.deepEqual(Object.keys(document), ["ok", "applied", "error"]);
  assert.equal(document.ok, false);
  const { code, message } = document.error as Record<string, unknown>;
  assert.deepEqual({ code, message }, { code: "INTERNAL", message: "odd" });
});

Deno.test("an error after the JSON document does not write a second one", async () => {
  const result = await runProgram(`
    const output = createOutput({ json: true });
    output.json({ ok: true });
    try { output.json({}) } catch (error) { output.error(error) }
  `);
  assert.deepEqual(JSON.parse(result.stdout), { ok: true });
  assert.match(result.stderr, /^error: Cannot write a second JSON document/);
});

Deno.test("a reader that goes away early ends the output quietly", async () => {
  const child = new Deno.Command(Deno.execPath(), {
    args: programArguments(`
      const output = createOutput();
      output.answer("first");
      for (let line = 0; line < 20000; line++) output.answer("x".repeat(100));
      output.narrate("done");
    `),
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  await reader.read();
  await reader.cancel();
  const { code } = await child.status;
  assert.equal(await new Response(child.stderr).text(), "done\n");
  assert.equal(code, 0);
});

Deno.test({
  name: `a terminal gets colours, but no sequences that move its cursor${onTerminal}`,
  ignore: noTerminal !== null,
  async fn() {
    const body = `
      output.answer(output.answerStyle.green("ok") + "\\x1b[2J");
      output.error(new errors.UsageError("Cannot do it"));
    `;
    const colored = await runOnTerminal(`const output = createOutput(); ${body}`);
    assert.equal(
      colored.stdout,
      "\x1b[32mok\x1b[39m\\x1b[2J\n\x1b[31m\x1b[1merror:\x1b[22m\x1b[39m Cannot do it\n",
    );
    const plain = await runOnTerminal(`const output = createOutput({ noColor: true }); ${body}`);
    assert.equal(plain.stdout, "ok\\x1b[2J\nerror: Cannot do it\n");
  },
});

Deno.test({
  name: `text is as wide as the terminal, from 30 to 120 cells${onTerminal}`,
  ignore: noTerminal !== null,
  fn: async () => {
    const body = "console.log(String(answerWidth()))";
    const widths = [[undefined, 80], [20, 30], [40, 40], [200, 120]] as const;
    for (const [columns, width] of widths) {
      const { stdout } = await runOnTerminal(body, columns === undefined ? {} : { columns });
      assert.equal(stdout, `${width}\n`);
    }
    assert.equal((await runProgram(body)).stdout, "80\n");
  },
});

Deno.test("an error shows its first details and how many are left, and verbose shows all", async () => {
  const program = (verbose: boolean) => `
    const output = createOutput({ verbose: ${verbose} });
    await output.error(new errors.UsageError("Cannot use it: wrong", {
      details: ["one", "two", "three", "four", "five", "six\\x1b", "seven"],
      help: "give another",
    }));
  `;
  const { stderr } = await runProgram(program(false));
  assert.deepEqual(stderr.split("\n"), [
    "error: Cannot use it: wrong",
    ..."one two three four five".split(" ").map((word) => `  ${word}`),
    "  and 2 more; --verbose shows all",
    "help: give another",
    "",
  ]);
  assert.match((await runProgram(program(true))).stderr, /\n {2}six\\x1b\n {2}seven\nhelp: /);
});

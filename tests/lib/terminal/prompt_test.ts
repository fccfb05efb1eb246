import assert from "node:assert/strict";
import { reasonForNoTerminal, runOnTerminal, runProgram } from "./program.ts";

const ASK = `
  const answer = await confirmByWord("3 rows of a\\nb will be lost.");
  createOutput().answer(String(answer));
`;
const noTerminal = reasonForNoTerminal();
const onTerminal = noTerminal === null ? "" : ` (skipped: ${noTerminal})`;

Deno.test("only the word itself, in upper or lower case, confirms", async () => {
  for (const input of ["yes\n", " YES \r\n", "yes"]) {
    assert.equal((await runProgram(ASK, { input })).stdout, "true\n", JSON.stringify(input));
  }
  for (const input of ["", "\n", "y\n", "yes please\n", "no\nyes\n"]) {
    assert.equal((await runProgram(ASK, { input })).stdout, "false\n", JSON.stringify(input));
  }
});

Deno.test("the question goes to stderr, followed by a line break if there is no answer", async () => {
  const question = `3 rows of a\\nb will be lost. Type the whole word "yes" to continue: `;
  assert.equal((await runProgram(ASK, { input: "yes\n" })).stderr, question);
  assert.equal((await runProgram(ASK, { input: "" })).stderr, `${question}\n`);
});

Deno.test("a question reads one line and leaves the rest", async () => {
  const body = `
    const answers = [await confirmByWord("One?"), await confirmByWord("Two?")];
    createOutput().answer(answers.join());
  `;
  const result = await runProgram(body, { input: `"yes"\nYES\n` });
  assert.equal(result.stdout, "true,true\n");
});

Deno.test("without a terminal the session is not interactive", async () => {
  assert.equal((await runProgram(`createOutput().answer(String(canAsk()))`)).stdout, "false\n");
});

Deno.test({
  name: `a session at a terminal is interactive${onTerminal}`,
  ignore: noTerminal !== null,
  async fn() {
    const result = await runOnTerminal(
      `
      createOutput().answer("can ask: " + canAsk());
      createOutput().answer(await confirmByWord("Go on?") ? "agreed" : "refused");
    `,
      { input: "yes\n" },
    );
    assert.match(result.stdout, /can ask: true\n/);
    assert.match(result.stdout, /Go on\? Type the whole word "yes" to continue: /);
    assert.match(result.stdout, /agreed\n$/);
  },
});

Deno.test({
  name: `Ctrl-C at a question ends the command with a message${onTerminal}`,
  ignore: noTerminal !== null,
  async fn() {
    const body = `
      try {
        await confirmByWord("Go on?");
      } catch (error) {
        createOutput({ noColor: true }).error(error);
      }
      Deno.exit();
    `;
    // On a terminal this character is Ctrl-C.
    const { stdout } = await runOnTerminal(body, { input: "\x03", after: "to continue: " });
    assert.match(
      stdout,
      /to continue: (?:\^C)?\nerror: Cannot continue: interrupted\nhelp: nothing was changed\n$/,
    );
  },
});

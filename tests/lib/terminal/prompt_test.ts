import assert from "node:assert/strict";
import { reasonForNoTerminal, runOnTerminal, runProgram } from "./program.ts";

const ASK = `
  const answer = confirmByWord("3 rows of a\\nb will be lost.");
  createOutput().answer(String(answer));
`;
const noTerminal = reasonForNoTerminal();
const onTerminal = noTerminal === null ? "" : ` (skipped: ${noTerminal})`;

Deno.test("only the word itself, in any case, is a yes", async () => {
  for (const input of ["yes\n", " YES \r\n", "yes"]) {
    assert.equal((await runProgram(ASK, { input })).stdout, "true\n", JSON.stringify(input));
  }
  for (const input of ["", "\n", "y\n", "yes please\n", "no\nyes\n"]) {
    assert.equal((await runProgram(ASK, { input })).stdout, "false\n", JSON.stringify(input));
  }
});

Deno.test("the question goes to stderr, and to the next line where there is no answer", async () => {
  const question = `3 rows of a\\nb will be lost. Type "yes" to continue: `;
  assert.equal((await runProgram(ASK, { input: "yes\n" })).stderr, question);
  assert.equal((await runProgram(ASK, { input: "" })).stderr, `${question}\n`);
});

Deno.test("one question takes one line and leaves the next to the next", async () => {
  const body = `
    const answers = [confirmByWord("One?"), confirmByWord("Two?", { word: "Größe" })];
    createOutput().answer(answers.join());
  `;
  const result = await runProgram(body, { input: "yes\nGRÖßE\n" });
  assert.equal(result.stdout, "true,true\n");
});

Deno.test("nobody can be asked where there is no terminal", async () => {
  assert.equal((await runProgram(`createOutput().answer(String(canAsk()))`)).stdout, "false\n");
});

Deno.test({
  name: `a person at a terminal can be asked${onTerminal}`,
  ignore: noTerminal !== null,
  async fn() {
    const result = await runOnTerminal(
      `
      createOutput().answer("can ask: " + canAsk());
      createOutput().answer(confirmByWord("Go on?") ? "agreed" : "refused");
    `,
      { input: "yes\n" },
    );
    assert.match(result.stdout, /can ask: true\n/);
    assert.match(result.stdout, /Go on\? Type "yes" to continue: /);
    assert.match(result.stdout, /agreed\n$/);
  },
});

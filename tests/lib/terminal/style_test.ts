import assert from "node:assert/strict";
import { createStyle, wantsColor } from "../../../lib/terminal/output.ts";

const terminal = { isTerminal: () => true };
const file = { isTerminal: () => false };

Deno.test("a style that is enabled marks text, and leaves an empty one empty", () => {
  const style = createStyle(true);
  assert.equal(style.red(style.bold("x")), "\x1b[31m\x1b[1mx\x1b[22m\x1b[39m");
  assert.equal(style.dim("x"), "\x1b[2mx\x1b[22m");
  assert.equal(style.yellow(""), "");
});

Deno.test("a style that is not enabled changes nothing", () => {
  const style = createStyle(false);
  assert.equal(style.red(style.bold(style.green("x"))), "x");
});

Deno.test("only a terminal gets colour, and not against the user's wish", () => {
  assert.equal(wantsColor({ stream: terminal }), !Deno.noColor);
  assert.equal(wantsColor({ stream: terminal, noColorFlag: true }), false);
  assert.equal(wantsColor({ stream: file }), false);
});

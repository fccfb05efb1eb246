import assert from "node:assert/strict";
import { createStyle, printableLines } from "../../../lib/terminal/text.ts";
import { takesCommands, wantsColor } from "../../../lib/terminal/output.ts";

const terminal = { isTerminal: () => true };
const file = { isTerminal: () => false };

Deno.test("a style that is enabled marks text, and leaves an empty one empty", () => {
  const style = createStyle(true);
  const written = (text: string) => printableLines(text, { styled: true });
  assert.equal(written(style.red(style.bold("x"))), "\x1b[31m\x1b[1mx\x1b[22m\x1b[39m");
  assert.equal(written(style.dim("x")), "\x1b[2mx\x1b[22m");
  assert.equal(style.yellow(""), "");
});

Deno.test("a style that is not enabled changes nothing", () => {
  const style = createStyle(false);
  assert.equal(style.red(style.bold(style.green("x"))), "x");
});

Deno.test("only a terminal gets colour, unless the user declined it", () => {
  assert.equal(wantsColor({ stream: terminal }), !Deno.noColor && takesCommands(terminal));
  assert.equal(wantsColor({ stream: terminal, noColorFlag: true }), false);
  assert.equal(wantsColor({ stream: file }), false);
});

Deno.test("a dumb terminal gets neither colour nor control sequences", () => {
  const before = Deno.env.get("TERM");
  try {
    Deno.env.set("TERM", "dumb");
    assert.equal(takesCommands(terminal), false);
    assert.equal(wantsColor({ stream: terminal }), false);
    Deno.env.set("TERM", "xterm");
    assert.equal(takesCommands(terminal), true);
    assert.equal(takesCommands(file), false);
  } finally {
    if (before === undefined) Deno.env.delete("TERM");
    else Deno.env.set("TERM", before);
  }
});

Deno.test("without permission to read TERM a terminal is assumed to be a usual one", {
  permissions: { env: false },
}, () => {
  assert.equal(takesCommands(terminal), true);
});

import assert from "node:assert/strict";
import fc from "fast-check";
import {
  createStyle,
  printable,
  printableJson,
  printableLine,
  printableLines,
  visibleWidth,
} from "../../../lib/terminal/text.ts";

Deno.test("line breaks and control characters in a name are escaped", () => {
  assert.equal(printable("a\nb\rc\td"), "a\\nb\\rc\\td");
  assert.equal(printable("\x1b[2Jx\x00\x7f\x9b"), "\\x1b[2Jx\\x00\\x7f\\x9b");
  assert.equal(printable("\u202egnp.exe\u2028\ud800"), "\\u202egnp.exe\\u2028\\ud800");
});

Deno.test("ordinary text in any language is unchanged", () => {
  const text = `C:\\data "Größe" 表 👩‍💻 é`;
  assert.equal(printable(text), text);
  assert.equal(printableLines(text), text);
});

Deno.test("printable text contains no character that a terminal acts on", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    assert.match(printable(text), /^[^\p{Cc}\p{Zl}\p{Zp}\p{Cs}]*$/u);
  }));
});

Deno.test("multi-line text keeps line breaks and tabs, and colours only if requested", () => {
  const red = createStyle(true).red("a");
  const text = `${red}\r\n\tb\rc\x1b[2J\n`;
  assert.equal(printableLines(text, { styled: true }), "\x1b[31ma\x1b[39m\r\n\tb\\rc\\x1b[2J\n");
  assert.equal(printableLines(text), "a\r\n\tb\\rc\\x1b[2J\n");
  assert.equal(printableLine(text), `${red}\\r\\n\\tb\\rc\\x1b[2J\\n`);
  assert.equal(visibleWidth(red), 1);
});

Deno.test("terminal sequences in data are escaped, even if the terminal supports colours", () => {
  const text = "\x1b[31ma\x1b[8mHID\x1b<>31m";
  assert.equal(printableLines(text, { styled: true }), "\\x1b[31ma\\x1b[8mHID\\x1b<>31m");
});

Deno.test("printable JSON has the same value", () => {
  fc.assert(fc.property(fc.array(fc.string({ unit: "binary" })), (value) => {
    const json = printableJson(JSON.stringify(value, null, 2));
    assert.deepEqual(JSON.parse(json), value);
    assert.match(json, /^[^\p{Zl}\p{Zp}\x7f-\x9f\u202e]*$/u);
  }));
});

import assert from "node:assert/strict";
import {
  isDelicate,
  realLiteral,
  realText,
  sqlFormat,
  textLiteral,
} from "../../../lib/dump/export_formats.ts";
import type { Value } from "../../../lib/dump/export_rows.ts";

function written(value: Value): string {
  const column = { name: "a", affinity: "BLOB", isStrict: false } as const;
  return [...sqlFormat.row([value], [column])].join("").slice(1, -1);
}

Deno.test("values are written as SQL", () => {
  const bytes = Uint8Array.of(0xff, 0);
  assert.equal(written({ type: "null" }), "NULL");
  assert.equal(written({ type: "integer", text: "-9223372036854775808" }), "-9223372036854775808");
  assert.equal(written({ type: "real", text: "0.1", number: 0.1 }), "0.1");
  assert.equal(written({ type: "real", text: "9.0e+999", number: Infinity }), "9.0e+999");
  assert.equal(written({ type: "real", text: "0.0", number: -0 }), "-0.0");
  assert.equal(written({ type: "blob", bytes }), "X'FF00'");
  assert.equal(written({ type: "blob", bytes: new Uint8Array() }), "X''");
  assert.equal(written({ type: "text", bytes, text: null }), "CAST(X'FF00' AS TEXT)");
  assert.equal(written({ type: "text", bytes, text: "it's\n" }), "'it''s\n'");
});

Deno.test("a stand-in for a NUL or a carriage return never occurs in the text itself", () => {
  assert.equal(textLiteral("a\0b"), "replace('a\\0.b','\\0.',char(0))");
  assert.equal(textLiteral("\\0.\0"), "replace('\\0.\\0.1','\\0.1',char(0))");
  assert.equal(
    textLiteral("\r\0"),
    "replace(replace('\\13.\\0.','\\0.',char(0)),'\\13.',char(13))",
  );
});

Deno.test("a real far from one is written as whole numbers and powers of two", () => {
  assert.equal(realLiteral(2 ** 70), `(1.0*${2n ** 52n}*${2n ** 18n})`);
  assert.equal(realLiteral(-(2 ** -40)), `(1.0*-1/${2n ** 40n})`);
  assert.equal(realLiteral(0), "0.0");
  assert.equal(realLiteral(-0), "-0.0");
});

Deno.test("only reals that some version of SQLite may write wrong are delicate", () => {
  for (const number of [0, 1, -0.1, 1e29, 1e-29, Infinity, -Infinity]) {
    assert(!isDelicate(number), `${number}`);
  }
  for (const number of [-0, 5e-324, 1e31, -Number.MAX_VALUE, -1e-31]) {
    assert(isDelicate(number), `${number}`);
    const text = realText({ type: "real", text: "?", number });
    assert(Object.is(Number(text), number));
    assert.match(text, /[.e]/);
  }
});

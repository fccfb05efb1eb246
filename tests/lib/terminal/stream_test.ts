import assert from "node:assert/strict";
import { createWriter } from "../../../lib/terminal/output.ts";

/** A stream that accepts a few bytes at a time, or throws a given error. */
function slowStream(failures: Error[] = []) {
  const written: number[] = [];
  return {
    text: () => new TextDecoder().decode(Uint8Array.from(written)),
    writeSync(bytes: Uint8Array): number {
      const failure = failures.shift();
      if (failure !== undefined) throw failure;
      written.push(...bytes.subarray(0, 3));
      return Math.min(3, bytes.length);
    },
  };
}

Deno.test("a text is written completely if a stream accepts it in parts", () => {
  const stream = slowStream();
  createWriter(stream)("größer als drei Bytes ✅");
  assert.equal(stream.text(), "größer als drei Bytes ✅");
});

Deno.test("a write to a full non-blocking pipe is tried again", () => {
  const stream = slowStream([new Deno.errors.WouldBlock(), new Deno.errors.WouldBlock()]);
  createWriter(stream)("all of it");
  assert.equal(stream.text(), "all of it");
});

Deno.test("nothing is written after the reader has closed the pipe", () => {
  const stream = slowStream([new Deno.errors.BrokenPipe()]);
  const write = createWriter(stream);
  write("one");
  write("two");
  assert.equal(stream.text(), "");
});

Deno.test("any other failure of a stream is reported", () => {
  const write = createWriter(slowStream([new Error("No space left on device")]));
  assert.throws(() => write("one"), /No space left/);
});

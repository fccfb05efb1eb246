import assert from "node:assert/strict";
import { createWriter } from "../../../lib/terminal/output.ts";

/** A stream that takes a few bytes at a time, or throws what it is told to. */
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

Deno.test("a text is written to its end where a stream takes it in parts", () => {
  const stream = slowStream();
  createWriter(stream)("größer als drei Bytes ✅");
  assert.equal(stream.text(), "größer als drei Bytes ✅");
});

Deno.test("a full pipe that doesn't block is tried again", () => {
  const stream = slowStream([new Deno.errors.WouldBlock(), new Deno.errors.WouldBlock()]);
  createWriter(stream)("all of it");
  assert.equal(stream.text(), "all of it");
});

Deno.test("after its reader has gone a stream is left alone", () => {
  const stream = slowStream([new Deno.errors.BrokenPipe()]);
  const write = createWriter(stream);
  write("one");
  write("two");
  assert.equal(stream.text(), "");
});

Deno.test("any other failure of a stream is not hidden", () => {
  const write = createWriter(slowStream([new Error("No space left on device")]));
  assert.throws(() => write("one"), /No space left/);
});

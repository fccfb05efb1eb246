import assert from "node:assert/strict";
import { UsageError } from "../../../lib/base/errors.ts";
import { reportOf, traceOf } from "../../../lib/terminal/output.ts";

Deno.test("an error of the toolkit keeps its code, message and help", () => {
  assert.deepEqual(reportOf(new UsageError("Cannot do it: no", { help: "do that" })), {
    code: "USAGE",
    message: "Cannot do it: no",
    help: "do that",
  });
  assert.equal(reportOf(new UsageError("Cannot do it: no")).help, null);
});

Deno.test("any other thrown value is a bug to report", () => {
  for (const thrown of [new TypeError("odd"), "odd"]) {
    const report = reportOf(thrown);
    assert.equal(report.code, "INTERNAL");
    assert.equal(report.message, "odd");
    assert.match(report.help ?? "", /--verbose/);
  }
  assert.equal(reportOf(new TypeError()).message, "TypeError");
  assert.equal(reportOf(undefined).message, "undefined");
});

Deno.test("an unsupported version of Deno is reported as the cause", () => {
  const error = new TypeError("file.tryLockSync is not a function");
  assert.match(reportOf(error, "2.6.8").help ?? "", /^Deno 2\.6\.8 is too old: .*deno upgrade/);
  assert.match(reportOf(error, "2.7.11").help ?? "", /--verbose/);
});

Deno.test("a trace names the causes, and stops at a cycle", () => {
  const inner = new Error("inner");
  const outer = new Error("outer", { cause: inner });
  inner.cause = outer;
  const trace = traceOf(outer);
  assert.equal(trace.split("caused by: ").length, 2);
  assert.match(trace, /Error: outer[\s\S]+caused by: Error: inner/);
  assert.equal(traceOf("no error"), "");
});

Deno.test("what the system refuses is not called a bug", () => {
  const { message, help } = reportOf(new Error("Input/output error (os error 5): remove 'a'"));
  assert.equal(message, "Cannot go on: Input/output error (os error 5): remove 'a'");
  assert.match(help ?? "", /^check the disk/);
});

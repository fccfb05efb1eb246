import assert from "node:assert/strict";
import { isBusy, translate } from "../../../lib/database/failure.ts";
import { type CatalystError, StatementError } from "../../../lib/base/errors.ts";

const context = { verb: "read", label: "data/a.db", statement: "SELECT 1", line: 7 };

for (
  const [message, code] of [
    ["database is locked", "DATABASE_LOCKED"],
    ["database schema is locked: main", "DATABASE_LOCKED"],
    ["file is not a database", "NOT_A_DATABASE"],
    ["unsupported file format", "NOT_A_DATABASE"],
    ["database disk image is malformed", "DATABASE_CORRUPT"],
    ["malformed database schema (orders)", "DATABASE_CORRUPT"],
    ["database or disk is full", "DISK_FULL"],
    ["attempt to write a readonly database", "NOT_PERMITTED"],
    ["unable to open database file", "NOT_PERMITTED"],
    ['Requires read access to "data/a.db"', "NOT_PERMITTED"],
    ["no such table: x", "STATEMENT_FAILED"],
    // Locked by a statement of the same connection, not by another program.
    ["database table is locked: orders", "STATEMENT_FAILED"],
    ["malformed JSON", "STATEMENT_FAILED"],
    ["UNIQUE constraint failed: orders.order_id", "STATEMENT_FAILED"],
    ["the table full_of_locked_things", "STATEMENT_FAILED"],
  ] as const
) {
  Deno.test(`"${message}" becomes ${code}, with statement, line and cause`, () => {
    const cause = new Error(message);
    const error = translate(cause, context);
    assert.equal(error.code, code);
    assert.equal(error.cause, cause);
    assert.equal(error.statement, "SELECT 1");
    assert.equal(error.line, 7);
    assert(error.message.startsWith("Cannot read data/a.db: "));
    if (code !== "STATEMENT_FAILED") assert(error.help !== undefined);
    assert.equal(isBusy(error), code === "DATABASE_LOCKED");
    assert.equal(isBusy(cause), code === "DATABASE_LOCKED");
  });
}

Deno.test("an error of the toolkit is not translated", () => {
  const error: CatalystError = new StatementError("x");
  assert.equal(translate(error, context), error);
});

Deno.test("a thrown value that is not an error is converted to text", () => {
  assert.match(translate("database is locked", context).message, /another process/);
});

import type { Fault } from "../../trial/finding.ts";
import { quoted } from "../rehearsal.ts";
import { isTrue } from "./rebuild.ts";
import type { Rehearsed } from "./rule.ts";

/** Statements that may not be there, that do nothing, or that fail where there are rows. */
export function statementFaults(rehearsed: Pick<Rehearsed, "migration" | "run">): Fault[] {
  const { migration, run } = rehearsed;
  return run.steps.flatMap((step): Fault[] => {
    if (step.forbidden !== null) {
      return [{
        code: "forbidden-statement",
        place: step,
        reason: `it may not run ${JSON.stringify(quoted(step.sql))}: ${step.forbidden}`,
        fix: /^\s*VACUUM\b/i.test(step.sql)
          ? 'put it into a migration of its own with transaction:false behind "-- migrate:up"'
          : "take the statement out",
      }];
    }
    if (step.ineffective !== null) {
      const { pragma, value } = step.ineffective;
      const isSet = pragma === "foreign_keys" &&
        isTrue(value) === (migration.foreignKeys !== false);
      return [{
        code: "ineffective-pragma",
        severity: isSet ? "warning" : "error",
        place: step,
        reason: `PRAGMA ${pragma} works only outside of a transaction, and a migration is one`,
        fix: pragma !== "foreign_keys"
          ? "take it out; the connection's settings are made when a database is opened"
          : isSet
          ? "take it out; it is so already"
          : 'put foreign-keys:off behind "-- migrate:up", or foreignKeys: false into a module',
      }];
    }
    if (step.failsOnRows === null) return [];
    if (/NOT NULL/.test(step.failsOnRows)) {
      return [{
        code: "not-null-without-default",
        place: step,
        reason: `it fails where the table has rows: ${step.failsOnRows}`,
        fix: "give the column a DEFAULT, or fill it while the rows are copied in a table rebuild",
      }];
    }
    return [{
      code: "fails",
      place: step,
      reason: `it fails where the table has rows: ${step.failsOnRows}`,
      fix: "write it so that it also works with rows, such as by a table rebuild",
    }];
  });
}

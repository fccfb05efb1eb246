import assert from "node:assert/strict";
import type { Judge } from "../../../lib/database/connection.ts";
import { openMemory } from "../../../lib/database/open.ts";
import { StatementGuard } from "../../../lib/dump/import_guard.ts";

Deno.test("actions of a later SQLite are refused until they are known", async () => {
  await using connection = openMemory();
  const judges: Judge[] = [];
  const confine = connection.confine.bind(connection);
  connection.confine = (judge, options) => {
    if (judge !== undefined) judges.push(judge);
    return confine(judge, options);
  };
  using guard = new StatementGuard(connection);
  const [judge] = judges;
  assert(judge !== undefined);
  const [SELECT, UNKNOWN, DENY] = [21, 34, 1];
  assert.equal(judge(SELECT, null, null, null, null), 0);
  assert.equal(guard.takeRefusal(), null);
  assert.equal(judge(UNKNOWN, null, null, null, null), DENY);
  assert.match(guard.takeRefusal()?.reason ?? "", /an unknown action/);
});

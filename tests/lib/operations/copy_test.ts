import assert from "node:assert/strict";
import { LocationError } from "../../../lib/base/errors.ts";
import { appIn } from "../dump/app.ts";
import { recordCalls } from "../record_calls.ts";
import { execute, query, TemporaryDirectory } from "../support.ts";

Deno.test("a copy gets its name only when its content is on disk", async () => {
  using directory = new TemporaryDirectory();
  const { migrator, path } = appIn(directory.path);
  execute(path, "CREATE TABLE t (a); INSERT INTO t VALUES (1)");
  const to = directory.file("copy.db");
  using recorded = recordCalls();
  await migrator.copyDatabase("app", to);
  assert.deepEqual(
    recorded.calls.filter((call) => /^(sync|rename)/.test(call) && call.includes(directory.path)),
    [
      `sync ${to}.copy.part`,
      `rename ${to}`,
      `sync ${directory.path}`,
    ],
  );
  assert.deepEqual(query(to, "SELECT a FROM t"), [{ a: 1 }]);
});

Deno.test("a copy that differs from the original is not kept", async () => {
  using directory = new TemporaryDirectory();
  const { migrator, path } = appIn(directory.path);
  execute(path, "CREATE TABLE t (a); INSERT INTO t VALUES (1)");
  const to = directory.file("copy.db");
  let isChanged = false;
  const copy = migrator.copyDatabase("app", to, {
    onStep: ({ what }) => {
      if (isChanged || !what.startsWith("comparing")) return;
      isChanged = true;
      execute(`${to}.copy.part`, "UPDATE t SET a = 2");
    },
  });
  await assert.rejects(
    copy,
    (error) => error instanceof LocationError && /differs from the original$/.test(error.message),
  );
  assert.deepEqual(directory.names().filter((name) => name.startsWith("copy")), []);
});

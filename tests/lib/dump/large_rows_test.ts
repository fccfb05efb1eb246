import assert from "node:assert/strict";
import { DumpError } from "../../../lib/base/errors.ts";
import { execute, tempDir } from "../../helpers.ts";
import { appIn } from "./app.ts";

Deno.test("a row that an import would not accept is not exported", async () => {
  await using dir = await tempDir();
  const { migrator, path } = appIn(dir.path);
  execute(
    path,
    "CREATE TABLE large (a); INSERT INTO large VALUES (zeroblob(101000000))",
  );
  const isRefused = (error: unknown) =>
    error instanceof DumpError && /table "large" .*101(\.0)? MB/.test(error.message);
  await assert.rejects(migrator.exportDatabase("app"), isRefused);
  await assert.rejects(
    async () => {
      for await (const { rows } of migrator.exportTables("app", { format: "csv" })) {
        await rows.cancel();
      }
    },
    isRefused,
  );
});

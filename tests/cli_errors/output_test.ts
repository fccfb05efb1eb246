import assert from "node:assert/strict";
import { join } from "node:path";
import { command, expectFailure, prepare, run } from "../cli_helpers.ts";
import { contentOf, existsSync, insertRows, tempDir } from "../helpers.ts";
import { openSnapshots } from "../snapshot.ts";

const snapshots = openSnapshots("output");

Deno.test("without a terminal nothing is lost unless --yes is given, and the losses are counted", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  const path = (name: string) => join(cwd, "data", `${name}.db`);
  insertRows(path("trading"), "trading", 2);
  insertRows(path("positions"), "positions", 3);
  const before = contentOf(path("trading"));
  for (const args of [["downgrade"], ["downgrade", "--migration", "002"]]) {
    await expectFailure({
      ...{ args, cwd, code: "NOT_CONFIRMED" },
      snapshot: snapshots(`rows at stake: ${args.join(" ")}`),
    });
  }
  assert.deepEqual(contentOf(path("trading")), before);
  const { stdout } = await prepare(["downgrade", "--yes", "--json"], { cwd });
  const rows = JSON.parse(stdout).lost.map(({ rows }: { rows: number }) => rows);
  assert(rows.length > 2 && rows.every((count: number) => count === 2 || count === 3));
});

Deno.test("a later migration of one database does not block another database", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  await prepare(["downgrade", "--migration", "001"], { cwd });
});

for (const line of ["status", "history", "verify", "--help", "upgrade --dry-run"]) {
  Deno.test(`a reader that closes the pipe early is not an error: ${line}`, async () => {
    await using directory = await tempDir();
    const cwd = directory.path;
    if (!line.includes("--dry-run")) await prepare(["upgrade"], { cwd });
    const child = command(line.split(" "), { cwd }).spawn();
    await child.stdout.cancel();
    const stderr = await new Response(child.stderr).text();
    assert.doesNotMatch(stderr, /error|^\s+at /m);
    assert.equal((await child.status).code, 0);
  });
}

const noFull = existsSync("/dev/full") ? null : "there is no /dev/full";
Deno.test({
  name: "output that cannot be written is an error" +
    (noFull === null ? "" : ` (skipped: ${noFull})`),
  ignore: noFull !== null,
  async fn() {
    await using directory = await tempDir();
    const cwd = directory.path;
    await prepare(["upgrade"], { cwd });
    const through = ["sh", "-c", 'exec "$@" > /dev/full', "sh"];
    const { code, stderr } = await run(["status"], { cwd, through });
    assert.equal(code, 1);
    snapshots("a full device behind stdout")(stderr);
  },
});

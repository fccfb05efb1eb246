import { deepStrictEqual as equal, ok, rejects } from "node:assert/strict";
import { MigratorLockedError } from "../../../lib/base/errors.ts";
import { openLibsql } from "../../../lib/database/libsql.ts";
import { parseLibsqlAddress } from "../../../lib/database/location.ts";
import { holderOf, Lease } from "../../../lib/engine/lock.ts";
import { readMarkers } from "../../../lib/state/marker.ts";
import { tempDir } from "../../helpers.ts";
import { libsqlTest, TestServer } from "../../libsql_server.ts";

function open(server: TestServer) {
  const address = parseLibsqlAddress(server.address("a"));
  return openLibsql({ address, tokenVariables: [] }, { timeout: 20 });
}

libsqlTest(
  "a lease blocks other holders until it is released or has expired",
  async () => {
    await using server = await (await TestServer.start()).create("a");
    await using mine = await open(server);
    await using theirs = await open(server);
    const take = (connection: typeof mine, holder: string) =>
      Lease.take(connection, { holder, timeout: 0 });
    const lease = await take(mine, "me");
    // It does not count as a migration.
    equal(await readMarkers(theirs), { markers: [], hasTables: false });
    await rejects(take(theirs, "they"), (error) => {
      ok(error instanceof MigratorLockedError, String(error));
      return /another migrator has reserved it for up to \d+ s/.test(error.message);
    });
    // The next process on the same machine after a killed one does not have to wait.
    const successor = await take(theirs, "me");
    await successor.release();
    await (await take(theirs, "they")).release();
    await lease.release();
    // After a kill the row remains until it expires, by the server's clock.
    await take(mine, "me");
    await rejects(take(theirs, "they"), MigratorLockedError);
    await mine.exec(
      "UPDATE catalyst_migrations SET applied_at = unixepoch() WHERE migration_id = 'lease'",
    );
    await take(theirs, "they");
    await rejects(take(mine, "me"), MigratorLockedError);
  },
);

libsqlTest("if many take a free lease at once, one gets it", async () => {
  await using server = await (await TestServer.start()).create("a");
  const connections = await Promise.all(Array.from({ length: 5 }, () => open(server)));
  const outcomes = await Promise.allSettled(
    connections.map((connection, index) =>
      Lease.take(connection, { holder: `holder ${index}`, timeout: 0 })
    ),
  );
  equal(outcomes.filter(({ status }) => status === "fulfilled").length, 1);
  for (const connection of connections) await connection.close();
});

Deno.test("a copied directory has a different holder, and the same directory has the same one", async () => {
  await using dir = await tempDir();
  const [one, other] = [`${dir.path}/a.lock`, `${dir.path}/b.lock`];
  await Deno.writeTextFile(one, "process 1\n");
  await Deno.copyFile(one, other);
  const holder = holderOf(one);
  await Deno.writeTextFile(one, "process 2\n");
  equal(holderOf(one), holder);
  ok(holderOf(other) !== holder);
});

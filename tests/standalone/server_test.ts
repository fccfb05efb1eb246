/** The executable and a database on a real server. */
import assert from "node:assert/strict";
import { libsqlTest, TestServer } from "../libsql_server.ts";
import { tempDir } from "../helpers.ts";
import { builtExecutable } from "./build.ts";

libsqlTest(
  "the executable reaches a server that its configuration names, with its token",
  async () => {
    const built = await builtExecutable();
    if (built.kind === "missing") return; // `builtExecutable` says why
    await using server = await (await TestServer.start()).create("app", "ledger");
    const [app, ledger] = [server.address("app"), server.address("ledger")];
    // A ledger alone needs the network as well.
    for (const places of [{ databases: { app } }, { databases: { app: "app.db" }, ledger }]) {
      await using dir = await tempDir();
      await Deno.mkdir(`${dir.path}/migrations`);
      await Deno.writeTextFile(
        `${dir.path}/migrations/001_create_notes.sql`,
        "-- database: app\n-- migrate:up\nCREATE TABLE notes (body TEXT);\n",
      );
      await Deno.writeTextFile(
        `${dir.path}/catalyst.json`,
        JSON.stringify({ bundled: false, ...places }),
      );
      const { code, stdout, stderr } = await new Deno.Command(built.path, {
        args: ["upgrade"],
        cwd: dir.path,
        clearEnv: true,
        env: {
          NO_COLOR: "1",
          CATALYST_LIBSQL_TOKEN_APP: "not needed here",
          CATALYST_LIBSQL_TOKEN_LEDGER: "not needed here",
        },
        stdin: "null",
      }).output();
      assert.equal(code, 0, new TextDecoder().decode(stderr));
      assert.match(new TextDecoder().decode(stdout), /applied +001_create_notes/);
    }
  },
);

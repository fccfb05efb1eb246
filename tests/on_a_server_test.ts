/** Runs the commands of `docs/on-a-server.md` on real servers: a primary and a replica. */
import { equal, match, ok } from "node:assert/strict";
import { execute, query, runCli, tempDir } from "./helpers.ts";
import { libsqlTest, TestServer } from "./libsql_server.ts";

/** The blocks of a language, in order. */
function blocksOf(text: string, language: string): string[] {
  return [...text.matchAll(/^```(\w+)\n([^]*?)^```$/gm)]
    .filter(([, found]) => found === language)
    .map(([, , block = ""]) => block);
}

libsqlTest(
  "moving a local bot to a server with a replica and back works as described",
  async () => {
    const text = await Deno.readTextFile(new URL("../docs/on-a-server.md", import.meta.url));
    await using primary = await (await TestServer.start()).create("ml_training");
    await using replica = await TestServer.start({
      args: ["--primary-grpc-url", `http://127.0.0.1:${primary.grpc}`],
    });
    await using dir = await tempDir();
    const here = (block: string) =>
      block.replaceAll("127.0.0.1:8080", `127.0.0.1:${primary.port}`)
        .replaceAll("127.0.0.1:8082", `127.0.0.1:${replica.port}`);
    const commands = blocksOf(text, "sh").flatMap((block) => here(block).split("\n"))
      .filter((line) => line.startsWith("catalyst-migrate "))
      .map((line) => line.replace("catalyst-migrate ", "").replaceAll('"', "").split(" "));
    equal(commands.length, 7);
    const [configuration = ""] = blocksOf(text, "json").map(here);
    const path = `${dir.path}/data/ml_training.db`;
    const run = async (args: readonly string[]) => {
      const result = await runCli(args, { cwd: dir.path });
      equal(result.code, 0, `${args.join(" ")}: ${result.stderr}`);
      return result.stdout;
    };
    for (const args of commands) {
      if (args[0] === "copy" && args[2]?.startsWith("http")) {
        execute(
          path,
          "CREATE TABLE notes (price REAL); INSERT INTO notes VALUES (0.0012467), (9e999)",
        );
      }
      if (args[0] === "status") {
        await Deno.writeTextFile(
          `${dir.path}/catalyst.json`,
          configuration,
        );
      }
      if (args.includes("replica.json")) {
        const named = configuration.replace(`:${primary.port}`, `:${replica.port}`);
        ok(named !== configuration);
        await Deno.writeTextFile(`${dir.path}/replica.json`, named);
      }
      const stdout = await run(args);
      if (args[0] === "copy") match(stdout, /both have the hash [0-9a-f]{64}/);
    }
    const back = `${dir.path}/data/ml_training_from_server.db`;
    equal(
      JSON.stringify(query(back, "SELECT * FROM notes")),
      JSON.stringify(query(path, "SELECT * FROM notes")),
    );
  },
);

/** Runs the commands of the GitHub Actions step and of the Dockerfile in docs/ci.md. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { TemporaryDirectory } from "../lib/support.ts";

const page = Deno.readTextFileSync(new URL("../../docs/ci.md", import.meta.url));
const cli = fileURLToPath(new URL("../../cli.ts", import.meta.url));
const config = fileURLToPath(new URL("../../deno.json", import.meta.url));

/** The code block of a language. */
function block(language: string): string {
  const [, code] = new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, "ms").exec(page) ?? [];
  assert(code !== undefined, `docs/ci.md has no ${language}`);
  return code;
}

/** Runs a line in a shell, as on a machine with Deno and this version of the package. */
async function run(
  line: string,
  { cwd, path = "" }: { readonly cwd: string; readonly path?: string },
): Promise<{ readonly code: number; readonly text: string }> {
  const { code, stdout, stderr } = await new Deno.Command("sh", {
    args: ["-c", line.replaceAll("jsr:@catalyst/migrate", `--config ${config} ${cli}`)],
    cwd,
    env: {
      PATH: `${path}:${join(Deno.execPath(), "..")}:${Deno.env.get("PATH")}`,
      NO_COLOR: "1",
      DB_PATH_PREFIX: "",
    },
  }).output();
  const decoder = new TextDecoder();
  return { code, text: decoder.decode(stdout) + decoder.decode(stderr) };
}

const isWindows = Deno.build.os === "windows";

const MIGRATION = `-- database: trading
-- migrate:up
ALTER TABLE orders ADD COLUMN note TEXT;
-- migrate:down
ALTER TABLE orders DROP COLUMN note;
`;

/** A repository with a migration. */
async function repository(migration = MIGRATION): Promise<TemporaryDirectory> {
  const directory = new TemporaryDirectory();
  Deno.mkdirSync(directory.file("migrations"));
  Deno.mkdirSync(directory.file("schema"));
  Deno.writeTextFileSync(directory.file("migrations/004_note.sql"), migration);
  const lines = [
    "deno run -A jsr:@catalyst/migrate upgrade --data-dir made",
    "deno run -A jsr:@catalyst/migrate schema trading --data-dir made > schema/trading.sql",
  ];
  for (const line of lines) await run(line, { cwd: directory.path });
  return directory;
}

/** Runs the steps; returns the number of the one that fails, or 0. */
async function runSteps(directory: TemporaryDirectory): Promise<number> {
  const steps = [...block("yaml").matchAll(/^ *- run: (.+)$/gm)].map(([, line = ""]) => line);
  assert.equal(steps.length, 3);
  for (const [index, step] of steps.entries()) {
    const { code } = await run(step, { cwd: directory.path });
    if (code !== 0) return index + 1;
  }
  return 0;
}

Deno.test({
  name: "the GitHub Actions step succeeds, and finds dangerous migrations and an outdated schema",
  ignore: isWindows,
  fn: async () => {
    using fine = await repository();
    assert.equal(await runSteps(fine), 0);
    using outdated = await repository();
    Deno.writeTextFileSync(
      outdated.file("migrations/005_more.sql"),
      MIGRATION.replaceAll("note", "more"),
    );
    assert.equal(await runSteps(outdated), 3);
    using dangerous = await repository("-- database: trading\n-- migrate:up\nDROP TABLE fills;\n");
    assert.equal(await runSteps(dangerous), 1);
  },
});

Deno.test({
  name: "the Dockerfile has less than 20 lines, and its commands upgrade, then start the bot",
  ignore: isWindows,
  fn: async () => {
    const lines = block("dockerfile").trimEnd().split("\n");
    assert(lines.length < 20);
    const valueOf = (instruction: string) =>
      lines.find((line) => line.startsWith(`${instruction} `))?.slice(instruction.length + 1) ?? "";
    using directory = new TemporaryDirectory();
    const bin = directory.file("usr/bin");
    Deno.mkdirSync(bin, { recursive: true });
    // The image has Python; here a script stands in for it.
    Deno.writeTextFileSync(`${bin}/python`, '#!/bin/sh\necho "started $1"\n', { mode: 0o755 });
    const install = valueOf("RUN").replace("--root /usr/local", `--root ${directory.file("usr")}`);
    const installed = await run(install, { cwd: directory.path });
    assert.equal(installed.code, 0, installed.text);
    const [shell, flag, command]: readonly string[] = JSON.parse(valueOf("CMD"));
    assert.deepEqual([shell, flag], ["sh", "-c"]);
    const { code, text } = await run(command ?? "", { cwd: directory.path, path: bin });
    assert.equal(code, 0, text);
    assert.match(text, /3 migrations applied\..*\nstarted bot\.py\n/);
    // The volume is where the databases are.
    assert.equal(valueOf("VOLUME"), "/app/data");
    assert(directory.names().includes("data"));
    Deno.writeTextFileSync(directory.file("data/trading.db"), "damaged".repeat(99));
    assert.doesNotMatch(
      (await run(command ?? "", { cwd: directory.path, path: bin })).text,
      /started/,
    );
  },
});

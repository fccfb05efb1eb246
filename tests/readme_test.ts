import assert from "node:assert/strict";
import { cpSync, existsSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { configuration, startRegistry } from "./package/registry.ts";
import { Stranger } from "./package/stranger.ts";
import { runWarm } from "./warm_cli.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const readme = Deno.readTextFileSync(`${root}/README.md`);
/** The README and the pages that it links to, in the order of their file names. */
const pages = [
  readme,
  ...[...Deno.readDirSync(`${root}/docs`)].map(({ name }) => name)
    // Their examples have separate tests.
    .filter((name) => name.endsWith(".md") && !["python.md", "on-a-server.md"].includes(name))
    .sort()
    .map((name) => Deno.readTextFileSync(`${root}/docs/${name}`)),
];

/** The code blocks of a language, in order. */
function blocks(language: string, from: readonly string[] = pages): string[] {
  return from.flatMap((page) => [...page.matchAll(/^```(.*)\n([^]*?)^```/gm)])
    .filter((match) => match[1] === language)
    .map((match) => match[2] ?? "");
}

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs this Deno with the arguments of a command line. */
async function deno(args: readonly string[], cwd: string): Promise<Outcome> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd,
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Durations differ between runs, and so does the width of their column. */
function withoutDurations(text: string): string {
  return text.replaceAll(/ +[<\d.]+ m?s$/gm, "");
}

Deno.test("the documentation's commands run, page by page, in an empty directory", async () => {
  await using registry = await startRegistry();
  using stranger = new Stranger(registry.url);
  for (const page of pages) {
    const lines = blocks("sh", [page]).flatMap((block) => block.trim().split("\n"))
      .map((line) => line.replace(/^npx --yes deno@\S+ /, "deno "))
      .map((line) => line.replace(/^catalyst-migrate /, "deno run -A cli.ts "));
    const directory = await Deno.makeTempDir();
    try {
      // The pages after the README build on its first command.
      if (lines.length > 0) await runWarm(["upgrade"], { cwd: directory });
      for (const line of lines) {
        const words = line.split(" ");
        assert.equal(words[0], "deno", line);
        if (line.includes("jsr:")) {
          const { code, stderr } = await stranger.deno(words.slice(1));
          assert.equal(code, 0, `${line}\n${stderr}`);
          continue;
        }
        if (words[1] === "task") {
          const { tasks } = JSON.parse(Deno.readTextFileSync(`${root}/deno.json`));
          assert.ok(Object.hasOwn(tasks, words[2] ?? ""), `deno.json has no task ${words[2]}`);
          continue;
        }
        if (line.includes("--from nas") && !existsSync(`${directory}/nas`)) {
          cpSync(`${directory}/data/backups`, `${directory}/nas`, { recursive: true }); // like rsync
        }
        const isOurs = line.startsWith("deno run -A cli.ts");
        const args = words.slice(1).map((word) => word === "cli.ts" ? `${root}/cli.ts` : word);
        const { code, stderr } = isOurs
          ? await runWarm(words.slice(4), { cwd: directory })
          : await deno(args, directory);
        assert.equal(code, 0, `${line}\n${stderr}`);
      }
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  }
});

Deno.test("the README shows what `upgrade` prints", async () => {
  const shown = blocks("")[0] ?? "";
  const directory = await Deno.makeTempDir();
  try {
    const { stdout } = await runWarm(["upgrade"], { cwd: directory });
    assert.equal(withoutDurations(stdout), withoutDurations(shown));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("the documentation's library examples pass the type check, and the program example runs", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const { name, version, exports } = configuration();
    const addresses = Object.entries(exports).map(([part, path]) =>
      [part.replace(/^\./, name), new URL(`../${path}`, import.meta.url).href] as const
    );
    const own = addresses.find(([part]) => part === name)?.[1];
    const imports = { ...Object.fromEntries(addresses), [`jsr:${name}@^${version}`]: own };
    await Deno.writeTextFile(`${directory}/deno.json`, JSON.stringify({ imports }));
    const names: string[] = [];
    for (const [index, example] of blocks("ts").entries()) {
      const isProgram = example.includes("await migrator.upgrade()");
      names.push(isProgram ? "program.ts" : `example_${index}.ts`);
      await Deno.writeTextFile(`${directory}/${names.at(-1)}`, example);
    }
    const checked = await deno(["check", ...names], directory);
    assert.equal(checked.code, 0, checked.stderr);
    const { code, stdout, stderr } = await deno(["run", "-A", "program.ts"], directory);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /001_create_positions_tables/);
    assert.match(stdout, /orders: 0/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("the documentation's migration file is applied and rolled back", async () => {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${directory}/migrations`);
    await Deno.writeTextFile(
      `${directory}/migrations/004_add.sql`,
      blocks("sql").find((one) => one.includes("migrate:up")) ?? "",
    );
    for (const command of [["upgrade"], ["lint", "004"], ["downgrade", "--steps", "1"]]) {
      const { code, stderr } = await runWarm(command, { cwd: directory });
      assert.equal(code, 0, stderr);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("the README lists every command, and the documentation every option", async () => {
  const { commandNames, loadCommand } = await import("../lib/commands/main.ts");
  for (const name of commandNames) {
    assert.ok(readme.includes(`| \`${name}\``), name);
    const command = await loadCommand(name);
    for (const flag of Object.keys(command.flags)) {
      assert.ok(pages.some((page) => page.includes(`--${flag}`)), `--${flag} of ${name}`);
    }
  }
});

/**
 * The layers of the code: imports point only downwards, there are no import cycles, and only
 * `lib/database` uses a driver. Value, type and dynamic imports all count.
 */
import assert from "node:assert/strict";

/** From the top to the bottom. A file belongs to the first entry that is the file or its folder. */
const LAYERS: readonly (readonly string[])[] = [
  ["cli.ts", "mod.ts"],
  ["lib/commands"],
  ["lib/terminal"],
  ["lib/catalyst.ts", "lib/catalyst_data.ts", "lib/migrator.ts", "migrations"],
  ["lib/report"],
  ["lib/doctor"],
  ["lib/operations"],
  ["lib/trial"],
  ["lib/dump"],
  ["lib/snapshot"],
  ["lib/engine"],
  ["lib/state"],
  ["lib/schema"],
  ["lib/migration"],
  ["lib/database"],
  ["lib/sql"],
  ["lib/base"],
];

/** The imports of a file: paths from the root, and specifiers of packages. */
type Graph = ReadonlyMap<string, readonly string[]>;

const ROOT = new URL("../", import.meta.url);

/** Specifiers of an import, export or dynamic import; comments and strings do not match. */
function specifiersOf(source: string): string[] {
  const code = source.replace(/\/\*\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  return [...code.matchAll(/(?:\bfrom\s+|\bimport\s*\(\s*|^import\s+)"([^"\s]+)"/gm)]
    .map(([, specifier = ""]) => specifier)
    .filter((specifier) => /^(\.|node:|npm:|jsr:)/.test(specifier));
}

async function sourceFiles(directory: string): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(new URL(directory, ROOT))) {
    if (isDirectory) files.push(...await sourceFiles(`${directory}${name}/`));
    else if (name.endsWith(".ts")) files.push(`${directory}${name}`);
  }
  return files.sort();
}

async function readGraph(): Promise<Graph> {
  const files = [
    "cli.ts",
    "mod.ts",
    ...await sourceFiles("lib/"),
    ...await sourceFiles("migrations/"),
  ];
  return new Map(
    await Promise.all(files.map(async (file) => {
      const specifiers = specifiersOf(await Deno.readTextFile(new URL(file, ROOT)));
      const targets = specifiers.map((specifier) =>
        specifier.startsWith(".")
          ? new URL(specifier, new URL(file, ROOT)).href.slice(ROOT.href.length)
          : specifier
      );
      return [file, targets] as const;
    })),
  );
}

function layerOf(file: string): number {
  return LAYERS.findIndex((places) =>
    places.some((place) => file === place || file.startsWith(`${place}/`))
  );
}

/** Upward imports, and files that belong to no layer. */
function upwardImports(graph: Graph): string[] {
  return [...graph].flatMap(([file, targets]) =>
    layerOf(file) === -1
      ? [`${file} belongs to no layer`]
      : targets.filter((target) => graph.has(target) && layerOf(target) < layerOf(file))
        .map((target) => `${file} imports ${target}`)
  );
}

/** The files of one import cycle; empty if there is none. */
function findCycle(graph: Graph): string[] {
  const finished = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): string[] => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (finished.has(file)) return [];
    path.push(file);
    for (const target of graph.get(file) ?? []) {
      const cycle = visit(target);
      if (cycle.length > 0) return cycle;
    }
    path.pop();
    finished.add(file);
    return [];
  };
  for (const file of graph.keys()) {
    const cycle = visit(file);
    if (cycle.length > 0) return cycle;
  }
  return [];
}

/** The same graph between folders. */
function foldersOf(graph: Graph): Graph {
  const folders = new Map<string, string[]>();
  for (const [file, targets] of graph) {
    const folder = folderOf(file);
    const others = targets.filter((target) => graph.has(target)).map(folderOf)
      .filter((other) => other !== folder);
    folders.set(folder, [...folders.get(folder) ?? [], ...others]);
  }
  return folders;
}

/** Files at the top of `lib` and of the project count as their own folder. */
function folderOf(file: string): string {
  return file.match(/^(lib\/[^/]+|migrations)\//)?.[1] ?? file;
}

/** Imports of drivers outside the one folder that may use them. */
function driverImports(graph: Graph): string[] {
  return [...graph].flatMap(([file, targets]) =>
    file.startsWith("lib/database/")
      ? []
      : targets.filter((target) => !target.startsWith("lib/") && /sqlite|libsql/i.test(target)).map(
        (target) => `${file} imports ${target}`,
      )
  );
}

const graph = await readGraph();

Deno.test("imports between layers point downwards", () => {
  assert.deepEqual(upwardImports(graph), []);
});

Deno.test("there are no import cycles between files or folders", () => {
  assert.deepEqual(findCycle(graph), []);
  assert.deepEqual(findCycle(foldersOf(graph)), []);
});

/** Modules that `status` and an `upgrade` without work load. */
const MOST_LOADED = 31;

/** Files that are loaded before a command runs: without type imports and dynamic ones. */
async function loadedBy(files: readonly string[]): Promise<Set<string>> {
  const loaded = new Set<string>();
  const load = async (url: URL): Promise<void> => {
    const file = url.href.slice(ROOT.href.length);
    if (loaded.has(file)) return;
    loaded.add(file);
    const source = await Deno.readTextFile(url);
    for (
      const [statement, path = ""] of source.matchAll(
        /^(?:import|export)\b[^;]*? from "(\.[^"]+)";/gm,
      )
    ) {
      if (!/^(?:import|export) type /.test(statement)) await load(new URL(path, url));
    }
  };
  for (const file of files) await load(new URL(file, ROOT));
  return loaded;
}

/** What a start of a command loads. */
async function loadedAtStart(command: string): Promise<Set<string>> {
  return await loadedBy(["cli.ts", `lib/commands/${command}.ts`]);
}

Deno.test("a start loads few modules", async () => {
  for (const command of ["status", "upgrade"]) {
    const loaded = await loadedAtStart(command);
    assert(
      loaded.size <= MOST_LOADED,
      `${command} loads ${loaded.size} modules, and each takes time at every start: load what is ` +
        `rarely needed with import()\n${[...loaded].sort().join("\n")}`,
    );
  }
});

Deno.test("cli.ts is the first to import each module that both status and upgrade load", async () => {
  const shared = (await loadedAtStart("status")).intersection(await loadedAtStart("upgrade"));
  shared.delete("cli.ts");
  assert.deepEqual(
    graph.get("cli.ts")?.toSorted(),
    [...shared].sort(),
    "correct the list of imports in cli.ts",
  );
});

Deno.test("only lib/database imports a driver", () => {
  assert.deepEqual(driverImports(graph), []);
});

Deno.test("an exported name has one meaning", async () => {
  // Each command file exports its `command`; `report/mod.ts` loads three functions by their own names;
  // `SqlValue` is also in the text of generated types.
  const shared = ["command", "computeReport", "renderReport", "runQuery", "SqlValue"];
  const homes = new Map<string, string[]>();
  for (const file of graph.keys()) {
    const source = await Deno.readTextFile(new URL(file, ROOT));
    const names = source.matchAll(
      /^export (?:async )?(?:function\*?|const|class|interface|type) (\w+)/gm,
    );
    // An overloaded function has several signatures.
    for (const name of new Set(Array.from(names, ([, name = ""]) => name))) {
      homes.set(name, [...homes.get(name) ?? [], file]);
    }
  }
  const ambiguous = [...homes].filter(([name, files]) =>
    files.length > 1 && !shared.includes(name)
  );
  assert.deepEqual(ambiguous, []);
});

Deno.test("an upward import, a cycle and a driver in the wrong place are found", () => {
  const wrong = new Map([
    ...graph,
    ["lib/base/upward.ts", ["lib/state/plan.ts"]],
    ["lib/sql/tokens.ts", ["lib/sql/spelling.ts"]],
    ["lib/sql/spelling.ts", ["lib/sql/tokens.ts"]],
    ["lib/dump/driver.ts", ["node:sqlite"]],
    ["lib/loose.ts", []],
  ]);
  assert.deepEqual(upwardImports(wrong), [
    "lib/base/upward.ts imports lib/state/plan.ts",
    "lib/loose.ts belongs to no layer",
  ]);
  assert.equal(findCycle(wrong).length, 3);
  assert.deepEqual(driverImports(wrong), ["lib/dump/driver.ts imports node:sqlite"]);
  assert.deepEqual(
    specifiersOf('const a = await import("./a.ts");\nimport type { B } from "./b.ts";'),
    ["./a.ts", "./b.ts"],
  );
});

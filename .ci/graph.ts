/** Finds the modules of this checkout that belong into an executable, as Deno would load them. */
import { basename, join, relative, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { CatalystError } from "../lib/base/errors.ts";

/** An executable cannot be built. */
export class BuildError extends CatalystError {
  override readonly code = "BUILD_FAILED";
}

/** Options of {@link moduleGraph}. */
export interface GraphOptions {
  /** The Deno to use. */
  readonly deno: string;
  /** Directory of the checkout. */
  readonly root: string;
}

/**
 * Finds every module that the program may load. Returns their paths in the checkout, sorted.
 *
 * @throws {BuildError} if a module is missing, is not in the checkout, or starts a thread with a
 * module other than itself.
 */
export async function moduleGraph(main: string, options: GraphOptions): Promise<string[]> {
  const urls = await codeOf(pathToFileURL(join(options.root, main)).href, options);
  for (const url of urls) checkThreads(url);
  return urls.map((url) => insidePath(url, options.root)).toSorted();
}

/**
 * Compares the files of `migrations/` with the build: each must be in the registry under its own
 * name, and among the modules.
 *
 * @throws {BuildError} if one is missing from either of them, or there are none.
 */
export function checkMigrations(
  files: readonly string[],
  { modules, registry }: {
    readonly modules: readonly string[];
    readonly registry: readonly string[];
  },
): void {
  const help = "add it to the list in migrations/mod.ts, or remove the file";
  for (const file of files) {
    if (!modules.includes(`migrations/${file}`)) {
      throw new BuildError(`Cannot build: migrations/${file} would not be in the executable`, {
        help,
      });
    }
    if (!registry.includes(basename(file, ".ts"))) {
      throw new BuildError(`Cannot build: migrations/${file} is not in the registry`, { help });
    }
  }
  const missing = registry.find((name) => !files.includes(`${name}.ts`));
  if (missing !== undefined) {
    throw new BuildError(`Cannot build: ${missing} of the registry has no file in migrations/`, {
      help: "give the file the name of the migration",
    });
  }
  if (registry.length === 0) {
    throw new BuildError("Cannot build: there are no bundled migrations", {
      help: "build from a complete checkout",
    });
  }
}

/** Names of the files in `migrations/` that must be bundled, sorted. */
export function migrationFiles(root: string): string[] {
  return [...Deno.readDirSync(join(root, "migrations"))]
    .map(({ name }) => name)
    .filter((name) => name !== "mod.ts" && !name.startsWith("."))
    .toSorted();
}

/** The used part of `deno info --json`. */
interface ModuleInfo {
  readonly specifier: string;
  readonly error?: string;
  readonly dependencies?: readonly { readonly code?: { readonly specifier?: string } }[];
}

/** The modules that a module loads, including itself; type imports are not loaded. */
async function codeOf(url: string, { deno, root }: GraphOptions): Promise<string[]> {
  const { success, stdout, stderr } = await new Deno.Command(deno, {
    args: ["info", "--json", "--no-lock", "--no-config", url],
    cwd: root,
    env: { NO_COLOR: "1", DENO_NO_PACKAGE_JSON: "1" },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  if (!success) {
    throw new BuildError(`Cannot build: \`deno info\` failed: ${decoder.decode(stderr).trim()}`);
  }
  const { modules } = JSON.parse(decoder.decode(stdout)) as { modules: readonly ModuleInfo[] };
  const known = new Map(modules.map((module) => [module.specifier, module]));
  const found = new Set([url]);
  for (const specifier of found) {
    // Deno includes the former, and the latter contains its own text.
    if (/^(node|data):/.test(specifier)) {
      found.delete(specifier);
      continue;
    }
    const module = known.get(specifier);
    if (module === undefined || module.error !== undefined) {
      throw new BuildError(
        `Cannot build: ${specifier} cannot be loaded: ${module?.error ?? "it is not in the graph"}`,
      );
    }
    for (const { code } of module.dependencies ?? []) {
      if (code?.specifier !== undefined) found.add(code.specifier);
    }
  }
  return [...found];
}

/** A module that is only started as a thread is not imported, and would not be embedded. */
function checkThreads(url: string): void {
  const source = Deno.readTextFileSync(new URL(url));
  if (/\bnew Worker\(/.test(source) && !/\bnew URL\(import\.meta\.url\)/.test(source)) {
    throw new BuildError(`Cannot build: ${url} starts a thread of another module`, {
      help: "let the module start itself: new URL(import.meta.url)",
    });
  }
}

function insidePath(url: string, root: string): string {
  const path = url.startsWith("file:") ? relative(root, fileURLToPath(url)) : "..";
  if (path.startsWith("..")) {
    throw new BuildError(`Cannot build: ${url} is not in this checkout`, {
      help: "the executable only contains modules of this project",
    });
  }
  return path.replaceAll(sep, "/");
}

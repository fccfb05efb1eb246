/** Builds standalone executables with `deno compile` that contain only what they need. */
import { createHash } from "node:crypto";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { variables } from "../lib/commands/resolve_options.ts";
import { TOKEN_VARIABLE } from "../lib/database/location.ts";
import { bundledMigrations } from "../migrations/mod.ts";
import { licensesOf } from "./licenses.ts";
import { BuildError, checkMigrations, migrationFiles, moduleGraph } from "./graph.ts";

/** Targets of released executables. */
export const releaseTargets: readonly string[] = [
  "x86_64-unknown-linux-gnu",
  "aarch64-unknown-linux-gnu",
  "x86_64-apple-darwin",
  "aarch64-apple-darwin",
  "x86_64-pc-windows-msvc",
];

/**
 * Permissions of the executable: read, write, its own variables, and the network, which the program
 * gives up at once unless a database is on a server. It never asks for more.
 */
export const permissions: readonly string[] = [
  "--allow-read",
  "--allow-write",
  "--allow-net",
  `--allow-env=${
    [
      ...variables,
      TOKEN_VARIABLE,
      `${TOKEN_VARIABLE}_*`,
      // Read by the package that connects to servers.
      "WS_NO_BUFFER_UTIL",
      "WS_NO_UTF_8_VALIDATE",
      // TERM=dumb means that a terminal shows no colours.
      "TERM",
    ].join()
  }`,
  "--no-prompt",
];

/** What to build, and where. */
export interface BuildOptions {
  /** `null` is this machine, without the target in the file name. Default: `[null]`. */
  readonly targets?: readonly (string | null)[];
  /** Directory for the files. Default: `dist` in the checkout. */
  readonly out?: string;
  /** The Deno to compile with. Default: `COMPILE_DENO`, or the one that runs this. */
  readonly deno?: string;
  /** Called before each target. */
  readonly onTarget?: (target: string) => void;
}

/** A built file. */
export interface Executable {
  readonly path: string;
  readonly bytes: number;
  /** SHA-256 in hexadecimal. */
  readonly sha256: string;
}

const checkout = fileURLToPath(new URL("..", import.meta.url));
const NAME = "catalyst-migrate";

/**
 * Modification time of the embedded files: it is part of the executable, and differs between
 * checkouts.
 */
const FILE_TIME = new Date("2020-01-01T00:00:00Z");

/**
 * Builds all requested executables, or none.
 *
 * @throws {BuildError} if something is missing, or `deno compile` fails.
 */
export async function build(options: BuildOptions = {}): Promise<Executable[]> {
  const { targets = [null], out = join(checkout, "dist"), onTarget = () => {} } = options;
  const deno = options.deno ?? (Deno.env.get("COMPILE_DENO") || Deno.execPath());
  const modules = await moduleGraph("cli.ts", { deno, root: checkout });
  const registry = bundledMigrations.map(({ name }) => name);
  checkMigrations(migrationFiles(checkout), { modules, registry });
  const stage = stageFiles([...modules, PACKAGES]);
  // The bundle already contains its packages, so they are not in the lock file for compiling.
  const drawing = writeLock(join(stage, "deno.lock"), CHARTS_PACKAGES);
  await bundleCharts(stage);
  const loading = writeLock(join(stage, "deno.lock"), PACKAGES);
  const isNew = makeDirectory(out);
  // In the same directory, so that finished files can be renamed into place.
  const part = Deno.makeTempDirSync({ dir: out, prefix: ".part-" });
  let isDone = false;
  try {
    const made: string[] = [];
    for (const target of targets) {
      onTarget(target ?? Deno.build.target);
      made.push(await compile(target, { deno, stage, part }));
    }
    const executables = made.toSorted().map((name) => describe(name, { part, out }));
    const sums = executables.map(({ path, sha256 }) => `${sha256}  ${basename(path)}\n`);
    Deno.writeTextFileSync(join(part, "SHA256SUMS"), sums.join(""));
    const licenses = await writeLicenses([...drawing, ...loading]);
    Deno.writeTextFileSync(join(part, LICENSES), licenses);
    for (const name of [...made, LICENSES, "SHA256SUMS"]) {
      Deno.renameSync(join(part, name), join(out, name));
    }
    isDone = true;
    return executables;
  } finally {
    Deno.removeSync(stage, { recursive: true });
    Deno.removeSync(isNew && !isDone ? out : part, { recursive: true });
  }
}

interface CompileOptions {
  readonly deno: string;
  /** Directory with the modules. */
  readonly stage: string;
  /** Directory for the file. */
  readonly part: string;
}

/** Builds one executable; returns its file's name. */
async function compile(
  target: string | null,
  { deno, stage, part }: CompileOptions,
): Promise<string> {
  const triple = target ?? Deno.build.target;
  const name = (target === null ? NAME : `${NAME}-${target}`) +
    (triple.includes("windows") ? ".exe" : "");
  const isForHere = triple === Deno.build.target;
  const { success, stderr } = await new Deno.Command(deno, {
    args: [
      "compile",
      "--quiet",
      "--no-check", // `deno task check` does that
      "--no-config", // the program needs no import map
      "--lock=deno.lock", // the tested versions of the packages
      "--no-remote",
      `--include=${PACKAGES}`,
      // A cache of compiled code would be in the directory for temporary files, under a known name,
      // where other users could plant one. It saves two milliseconds.
      "--no-code-cache",
      ...permissions,
      ...["--include", CHARTS],
      ...["--target", triple, "--output", join(part, name)],
      "cli.ts",
    ],
    cwd: stage,
    clearEnv: true,
    env: environment(isForHere),
    stdin: "null",
  }).output();
  if (!success) {
    const said = new TextDecoder().decode(stderr).trim();
    const hint = isForHere
      ? "deno compile downloads the runtime that it embeds; where it can't, DENORT_BIN names one"
      : "deno compile downloads the runtime that it embeds; DENORT_BIN is only for this machine";
    throw new BuildError(`Cannot build for ${triple}: \`deno compile\` failed`, {
      help: `${hint}\n${said}`,
    });
  }
  if (isForHere) await checkExecutable(join(part, name));
  return name;
}

/** Checks an executable by running it. */
async function checkExecutable(path: string): Promise<void> {
  const system = Deno.env.get("SYSTEMROOT"); // programs on Windows do not start without it
  const { success, stdout, stderr } = await new Deno.Command(path, {
    args: ["--version", "--json"],
    clearEnv: true,
    env: system === undefined ? {} : { SYSTEMROOT: system },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  if (!success) {
    throw new BuildError(`Cannot build: the executable fails: ${decoder.decode(stderr).trim()}`);
  }
  const { migrations } = JSON.parse(decoder.decode(stdout)) as {
    readonly migrations: { readonly bundled: readonly { readonly name: string }[] };
  };
  const names = migrations.bundled.map(({ name }) => name);
  const missing = bundledMigrations.find(({ name }) => !names.includes(name));
  if (missing !== undefined) {
    throw new BuildError(`Cannot build: the executable has no migration ${missing.name}`);
  }
}

/**
 * Copies files to a directory of their own, with the same modification time, so that the same
 * sources give the same executable, wherever and whenever it is built.
 */
function stageFiles(files: readonly string[]): string {
  const stage = Deno.makeTempDirSync({ prefix: "catalyst-compile-" });
  for (const file of files) {
    const path = join(stage, file);
    Deno.mkdirSync(dirname(path), { recursive: true });
    Deno.copyFileSync(join(checkout, file), path);
    Deno.utimeSync(path, FILE_TIME, FILE_TIME);
  }
  return stage;
}

/** Imports the packages that the executable includes. */
const PACKAGES = ".ci/packages.ts";

/** Draws the charts of a report. */
const CHARTS_SOURCE = "lib/report/charts.ts";

/** Imports the packages that draw them. */
const CHARTS_PACKAGES = "lib/report/chart_drawing.ts";

/**
 * Writes the lock file without packages that only tests use: Deno downloads and embeds every
 * package in the lock file, whether a module imports it or not. `source` imports what is needed.
 * Returns the packages in the new lock file.
 */
function writeLock(path: string, source: string): string[] {
  const read = (path: string) => Deno.readTextFileSync(join(checkout, path));
  const used = [...read(source).matchAll(/"npm:(@?[^@"]+)/g)].map(([, name = ""]) => name);
  const lock = lockOf(JSON.parse(read("deno.lock")), used);
  Deno.writeTextFileSync(path, JSON.stringify(lock));
  Deno.utimeSync(path, FILE_TIME, FILE_TIME);
  return Object.keys(lock.npm);
}

/** The file of licences next to the executables. */
const LICENSES = "LICENSES.txt";

/** The licences of packages, which were downloaded to build. */
async function writeLicenses(packages: readonly string[]): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
  const { npmCache } = JSON.parse(new TextDecoder().decode(stdout)) as {
    readonly npmCache: string;
  };
  return licensesOf(packages, npmCache);
}

/** The used parts of a lock file. */
export interface Lock {
  readonly version: string;
  /** Version by specifier, such as `npm:ws@8`. */
  readonly specifiers: Readonly<Record<string, string>>;
  /** By name and version; a dependency includes its version only if there are several. */
  readonly npm: Readonly<Record<string, { readonly dependencies?: readonly string[] }>>;
}

/** The part of a lock file that some packages need. */
export function lockOf({ version, specifiers, npm }: Lock, packages: readonly string[]): Lock {
  const kept = Object.entries(specifiers).filter(([specifier]) =>
    packages.some((name) => specifier.startsWith(`npm:${name}@`))
  );
  const needed = new Set(
    kept.map(([specifier, locked]) => specifier.replace(/^npm:(.+)@.*$/, `$1@${locked}`)),
  );
  for (const key of needed) {
    for (const dependency of npm[key]?.dependencies ?? []) {
      for (const one of Object.keys(npm)) {
        if (one === dependency || one.startsWith(`${dependency}@`)) needed.add(one);
      }
    }
  }
  return {
    version,
    specifiers: Object.fromEntries(kept),
    npm: Object.fromEntries(Object.entries(npm).filter(([key]) => needed.has(key))),
  };
}

/** The charts of a report with their packages; only loaded by name. */
const CHARTS = "lib/report/charts.js";

/**
 * Bundles the charts and their packages into one file: whole packages would add 10 MB instead of
 * 0.7.
 */
async function bundleCharts(stage: string): Promise<void> {
  const path = join(stage, CHARTS);
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["bundle", "--quiet", "--no-check", "--minify", "--platform", "deno"],
      ...["--no-config", "--frozen", `--lock=${join(stage, "deno.lock")}`],
      ...["--output", path, join(checkout, CHARTS_SOURCE)],
    ],
    cwd: checkout,
    env: { NO_COLOR: "1", DENO_NO_PACKAGE_JSON: "1" },
    stdin: "null",
  }).output();
  if (!success) {
    throw new BuildError("Cannot build: the charts cannot be bundled", {
      help: `deno bundle downloads esbuild and the chart library from npm\n${
        new TextDecoder().decode(stderr).trim()
      }`,
    });
  }
  Deno.utimeSync(path, FILE_TIME, FILE_TIME);
}

/**
 * Variables for `deno compile`, with which it finds and downloads what it needs; none of them end
 * up in the file.
 */
function environment(isForHere: boolean): Record<string, string> {
  const names = [
    ...["PATH", "HOME", "USERPROFILE", "LOCALAPPDATA", "APPDATA", "SYSTEMROOT", "XDG_CACHE_HOME"],
    ...["TMPDIR", "TMP", "TEMP", "DENO_DIR", "DENO_CERT", "DENO_TLS_CA_STORE", "SSL_CERT_FILE"],
    ...["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"],
    // It is the runtime of this machine, and would be embedded for other targets, too.
    ...(isForHere ? ["DENORT_BIN"] : []),
  ];
  const found = names.map((name) => [name, Deno.env.get(name)] as const);
  return {
    ...Object.fromEntries(found.filter((one): one is [string, string] => one[1] !== undefined)),
    DENO_NO_PACKAGE_JSON: "1",
    DENO_NO_UPDATE_CHECK: "1",
    NO_COLOR: "1",
  };
}

function describe(
  name: string,
  { part, out }: { readonly part: string; readonly out: string },
): Executable {
  const bytes = Deno.readFileSync(join(part, name));
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { path: join(out, name), bytes: bytes.length, sha256 };
}

/** Creates a directory; false if it exists. */
function makeDirectory(path: string): boolean {
  try {
    Deno.mkdirSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    throw error;
  }
}

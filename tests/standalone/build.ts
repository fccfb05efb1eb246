/** Builds the executable for the tests; if it cannot be built, they are skipped with the reason. */
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { build } from "../../.ci/build.ts";
import { BuildError } from "../../.ci/graph.ts";

/** An executable, or why there is none. */
export type Built =
  | { readonly kind: "built"; readonly path: string }
  | { readonly kind: "missing"; readonly reason: string };

/** Variable with the path of the last build. All threads of a test run have the same variables. */
const LAST_BUILD = "LAST_BUILD_OF_TESTS";

let built: Promise<Built> | null = null;

/**
 * The executable of this checkout for this machine, with the files beside it. It is built once for all
 * test files that run at the same time, and removed after the tests.
 */
export function builtExecutable(): Promise<Built> {
  return built ??= buildOne();
}

async function buildOne(): Promise<Built> {
  const out = Deno.makeTempDirSync({ prefix: "catalyst-executable-" });
  globalThis.addEventListener("unload", () => Deno.removeSync(out, { recursive: true }));
  using _lock = await takeLock();
  const last = Deno.env.get(LAST_BUILD);
  const linked = last === undefined ? null : link(last, join(out, "dist"));
  if (linked !== null) return { kind: "built", path: linked };
  try {
    const [executable] = await build({ out: join(out, "dist") });
    if (executable === undefined) throw new Error("nothing was built");
    Deno.env.set(LAST_BUILD, executable.path);
    return { kind: "built", path: executable.path };
  } catch (error) {
    // Skipped only if the runtime is unavailable: any other build failure fails the test.
    const cause = error instanceof BuildError
      ? /error sending request.*|.*404 Not Found.*/.exec(error.help ?? "")?.[0]
      : undefined;
    if (cause === undefined) throw error;
    const reason = "no executable can be built here";
    // deno-lint-ignore no-console -- reports what is skipped and why
    console.log(`skipped: ${reason}: ${cause}`);
    return { kind: "missing", reason };
  }
}

/** Waits for the other threads of this test run. */
async function takeLock(): Promise<Disposable> {
  const path = join(tmpdir(), `catalyst-build-${Deno.pid}.lock`);
  const file = Deno.openSync(path, { create: true, write: true });
  await file.lock(true);
  return {
    [Symbol.dispose]() {
      file.close();
      try {
        Deno.removeSync(path);
      } catch {
        // another thread waits for it, or has removed it
      }
    },
  };
}

/** Links an executable and the files beside it; null if it has been removed. */
function link(executable: string, directory: string): string | null {
  const from = dirname(executable);
  try {
    Deno.mkdirSync(directory);
    for (const { name } of Deno.readDirSync(from)) {
      Deno.linkSync(join(from, name), join(directory, name));
    }
    return join(directory, basename(executable));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

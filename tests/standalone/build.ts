/** Builds the executable for the tests; if it cannot be built, they are skipped with the reason. */
import { join } from "node:path";
import { build } from "../../.ci/build.ts";
import { BuildError } from "../../.ci/graph.ts";

/** An executable, or why there is none. */
export type Built =
  | { readonly kind: "built"; readonly path: string }
  | { readonly kind: "missing"; readonly reason: string };

let built: Promise<Built> | null = null;

/** Builds the executable of this checkout for this machine, once; it is removed after the tests. */
export function builtExecutable(): Promise<Built> {
  return built ??= buildOne();
}

async function buildOne(): Promise<Built> {
  const out = Deno.makeTempDirSync({ prefix: "catalyst-executable-" });
  globalThis.addEventListener("unload", () => Deno.removeSync(out, { recursive: true }));
  try {
    const [executable] = await build({ out: join(out, "dist") });
    if (executable === undefined) throw new Error("nothing was built");
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

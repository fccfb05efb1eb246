import { join } from "node:path";
import { showToAll } from "../another_user.ts";
import { variablesOf, type WayIn } from "../standalone/way.ts";
import { warmProgram } from "../warm_cli.ts";
import { startRegistry } from "./registry.ts";
import { Stranger } from "./stranger.ts";

/**
 * The package, run by Deno from a registry. The first command has downloaded everything; after that the
 * registry is stopped.
 */
export async function published(): Promise<WayIn> {
  const cache = Deno.makeTempDirSync({ prefix: "catalyst-cache-" });
  globalThis.addEventListener("unload", () => Deno.removeSync(cache, { recursive: true }));
  await using registry = await startRegistry();
  using stranger = new Stranger(registry.url, { cache: join(cache, "deno") });
  const { code, stderr } = await stranger.deno(["run", "-A", "jsr:@catalyst/migrate", "upgrade"]);
  if (code !== 0) throw new Error(stderr);
  showToAll(cache);
  return {
    name: "the package",
    command: [Deno.execPath(), "run", "-A", "--no-prompt", "jsr:@catalyst/migrate"],
    warm: [Deno.execPath(), "run", "-A", "--no-prompt", warmProgram, "jsr:@catalyst/migrate/cli"],
    env: {
      ...variablesOf(["SYSTEMROOT"]),
      ...{ DENO_DIR: stranger.cache, JSR_URL: registry.url, HOME: cache },
    },
  };
}

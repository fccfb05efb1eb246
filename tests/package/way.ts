import { join } from "node:path";
import type { WayIn } from "../standalone/way.ts";
import { startRegistry } from "./registry.ts";
import { Stranger } from "./stranger.ts";

/**
 * The package, as Deno runs it from a registry. The first command has downloaded all of it; by now the
 * registry is gone.
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
    env: { DENO_DIR: stranger.cache, JSR_URL: registry.url, HOME: cache },
  };
}

/** Lets other users read what Deno has downloaded for this one. */
function showToAll(path: string): void {
  if (Deno.build.os === "windows") return;
  const { isDirectory } = Deno.statSync(path);
  Deno.chmodSync(path, isDirectory ? 0o755 : 0o644);
  if (!isDirectory) return;
  for (const { name } of Deno.readDirSync(path)) showToAll(join(path, name));
}

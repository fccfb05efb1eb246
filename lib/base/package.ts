import { AccessError } from "./errors.ts";

/**
 * Loads an npm package when it is first needed. Deno downloads every package named by a literal import
 * before a program starts, even if it is never loaded; this way `upgrade` downloads none.
 * `.ci/packages.ts` lists the packages to include in the executable.
 *
 * @throws {AccessError} if it is not cached and cannot be downloaded.
 */
export async function loadPackage<Module>(specifier: `npm:${string}`): Promise<Module> {
  try {
    return await import(specifier);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new AccessError(`Cannot load the package ${specifier.slice(4)}: ${reason}`, {
      cause: error,
      help: error instanceof Deno.errors.NotCapable
        ? "grant the permission that the message names"
        : "connect to the network and run the command again; Deno caches the download",
    });
  }
}

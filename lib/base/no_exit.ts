import type { AsyncLocalStorage } from "node:async_hooks";

let refusals: AsyncLocalStorage<() => Error> | undefined;

/**
 * Calls a user's function. `Deno.exit()` and Node's `process.exit()` throw the given error in it and in
 * its asynchronous work: they would end the program with the exit code of success although the
 * migration is not committed.
 */
export async function withoutExit<T>(work: () => T, refusal: () => Error): Promise<Awaited<T>> {
  refusals ??= await refuseExit();
  return await refusals.run(refusal, work);
}

async function refuseExit(): Promise<AsyncLocalStorage<() => Error>> {
  const { AsyncLocalStorage } = await import("node:async_hooks");
  const storage = new AsyncLocalStorage<() => Error>();
  const { exit } = Deno;
  Deno.exit = (code) => {
    const refusal = storage.getStore();
    if (refusal !== undefined) throw refusal();
    return exit(code);
  };
  return storage;
}

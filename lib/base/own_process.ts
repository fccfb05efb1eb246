import type { AsyncLocalStorage } from "node:async_hooks";

/** Makes the error for a call that a user's code must not make, such as `Deno.exit()`. */
type Refusal = (call: string) => Error;

let refusals: AsyncLocalStorage<Refusal> | undefined;

/**
 * Calls a user's function. Calls that affect the whole process throw the given error in it and in its
 * asynchronous work: one that ends the program would do so with the exit code of success although the
 * migration is not committed, and in another directory relative paths lead to other databases.
 */
export async function keepProcess<T>(work: () => T, refusal: Refusal): Promise<Awaited<T>> {
  refusals ??= await guardProcess();
  return await refusals.run(refusal, work);
}

async function guardProcess(): Promise<AsyncLocalStorage<Refusal>> {
  const [{ AsyncLocalStorage }, { default: process }] = await Promise.all([
    import("node:async_hooks"),
    import("node:process"),
  ]);
  const storage = new AsyncLocalStorage<Refusal>();
  const guarded = <Args extends unknown[], Result>(
    call: string,
    original: (...args: Args) => Result,
  ) =>
  (...args: Args): Result => {
    const refusal = storage.getStore();
    if (refusal !== undefined) throw refusal(call);
    return original(...args);
  };
  Deno.exit = guarded("Deno.exit()", Deno.exit); // also called by process.exit()
  Deno.chdir = guarded("Deno.chdir()", Deno.chdir);
  process.chdir = guarded("process.chdir()", process.chdir);
  globalThis.close = guarded("close()", globalThis.close);
  return storage;
}

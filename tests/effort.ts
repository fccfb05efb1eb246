/**
 * Number of random trials of a property, multiplied by `CATALYST_TEST_EFFORT`. The default keeps the
 * suite fast, and each run uses a different seed.
 */
export function trials(count: number): number {
  return Math.ceil(count * Number(Deno.env.get("CATALYST_TEST_EFFORT") ?? 1));
}

/**
 * Numbers below a limit: each `step`-th, from a random one on. `CATALYST_TEST_EFFORT` divides the step:
 * at that effort each number is tried.
 */
export function* sample(limit: number, step: number): Generator<number> {
  const stride = Math.max(1, Math.round(step / Number(Deno.env.get("CATALYST_TEST_EFFORT") ?? 1)));
  for (let n = Math.floor(Math.random() * stride); n < limit; n += stride) yield n;
}

/**
 * Number of random trials of a property. `CATALYST_TEST_EFFORT` multiplies it: the default keeps the
 * suite short, and each run has another seed.
 */
export function trials(count: number): number {
  return Math.ceil(count * Number(Deno.env.get("CATALYST_TEST_EFFORT") ?? 1));
}

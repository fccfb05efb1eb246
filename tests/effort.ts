/**
 * Number of random trials of a property, multiplied by `CATALYST_TEST_EFFORT`. The default keeps the
 * suite fast, and each run uses a different seed.
 */
export function trials(count: number): number {
  return Math.ceil(count * Number(Deno.env.get("CATALYST_TEST_EFFORT") ?? 1));
}

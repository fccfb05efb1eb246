/** Version of the toolkit, the same as in `deno.json`. */
export const version = "0.1.0";

/** The oldest supported version of Deno. */
export const oldestDeno = "2.7.11";

/** Whether a version such as `2.7.11` is older than another. */
export function isOlder(one: string, other: string): boolean {
  const [a, b] = [one, other].map((text) => text.split(/[.+-]/).map(Number));
  const at = [0, 1, 2].find((part) => a?.[part] !== b?.[part]);
  return at !== undefined && (a?.[at] ?? 0) < (b?.[at] ?? 0);
}

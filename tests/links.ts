/** Tests of databases that are symbolic links. */

/** Where a test runs. */
export interface LinkTestOptions {
  /** Whether it needs information that only Linux provides, such as lock holders. Default `false`. */
  readonly onLinux?: boolean;
}

/** A test that creates symbolic links; if it cannot run, its name says why. */
export function testLinks(
  name: string,
  fn: () => Promise<void>,
  { onLinux = false }: LinkTestOptions = {},
): void {
  const reason = reasonAgainst(onLinux);
  const skipped = reason === null ? "" : ` (skipped: ${reason})`;
  Deno.test({ name: name + skipped, ignore: reason !== null, fn });
}

function reasonAgainst(onLinux: boolean): string | null {
  if (Deno.build.os === "windows") return "links take an administrator there";
  return onLinux && Deno.build.os !== "linux" ? "needs Linux" : null;
}

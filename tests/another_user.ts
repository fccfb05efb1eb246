/** What tests need to run a program as a user who owns nothing. */
import { fileURLToPath } from "node:url";

/** Runs a program as such a user. */
export const anotherUser = [
  "/usr/bin/setpriv",
  ...["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"],
] as const;

const cli = fileURLToPath(new URL("../cli.ts", import.meta.url));

/** Why a program can't be run, or a file not be read, as another user here; `null` where they can. */
export function reasonForNoOtherUser(
  program: string = Deno.execPath(),
  file: string = cli,
): string | null {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) return "only root can become another user";
  const succeeds = (...line: readonly string[]) => {
    const [through = "", ...args] = [...anotherUser, ...line];
    return new Deno.Command(through, { args, env: { DENO_DIR: "/nonexistent" } }).outputSync()
      .success;
  };
  try {
    if (!succeeds(program, "--version")) return "another user can't run the program";
    // A checkout below /root is closed to others.
    return succeeds("test", "-r", file) ? null : `another user can't read ${file}`;
  } catch {
    return "there is no `setpriv`";
  }
}

/** Lets other users read all that is below a path, whatever the mask of this one is. */
export function showToAll(path: string): void {
  if (Deno.build.os === "windows") return;
  const { isDirectory, mode } = Deno.statSync(path);
  Deno.chmodSync(path, isDirectory || ((mode ?? 0) & 0o100) !== 0 ? 0o755 : 0o644);
  if (!isDirectory) return;
  for (const { name } of Deno.readDirSync(path)) showToAll(`${path}/${name}`);
}

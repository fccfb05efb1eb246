/** Helpers to run a program as a user who owns no files. */
import { fileURLToPath } from "node:url";

/** Runs a program as that user. */
export const anotherUser = [
  "/usr/bin/setpriv",
  ...["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"],
] as const;

const cli = fileURLToPath(new URL("../cli.ts", import.meta.url));

/** Why a program cannot be run, or a file not be read, as another user here; `null` if they can. */
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
    // A checkout below /root is not accessible to others.
    return succeeds("test", "-r", file) ? null : `another user can't read ${file}`;
  } catch {
    return "there is no `setpriv`";
  }
}

/** Lets other users read everything below a path, regardless of the umask. */
export function showToAll(path: string): void {
  if (Deno.build.os === "windows") return;
  const { isDirectory, mode } = Deno.statSync(path);
  Deno.chmodSync(path, isDirectory || ((mode ?? 0) & 0o100) !== 0 ? 0o755 : 0o644);
  if (!isDirectory) return;
  for (const { name } of Deno.readDirSync(path)) showToAll(`${path}/${name}`);
}

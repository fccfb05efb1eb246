/** A directory that nobody can write, not even root: a file system of its own, mounted read-only. */
export class ReadOnlyDirectory implements Disposable {
  readonly path: string = Deno.makeTempDirSync({ prefix: "catalyst-" });

  /** Makes it with what `fill` puts into it. */
  constructor(fill: (path: string) => void) {
    run("mount", ["-t", "tmpfs", "tmpfs", this.path]);
    try {
      fill(this.path);
      run("mount", ["-o", "remount,ro", this.path]);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    run("umount", [this.path]);
    Deno.removeSync(this.path);
  }
}

/** Why {@link ReadOnlyDirectory} can't be used here; `null` where it can. */
export function reasonForNoMount(): string | null {
  try {
    new ReadOnlyDirectory(() => {})[Symbol.dispose]();
    return null;
  } catch {
    return "no permission to mount a file system";
  }
}

function run(command: string, args: string[]): void {
  const { success, stderr } = new Deno.Command(command, { args }).outputSync();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

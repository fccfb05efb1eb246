/** A directory that not even root can write to: a separate file system, mounted read-only. */
export class ReadOnlyDirectory implements Disposable {
  readonly path: string = Deno.makeTempDirSync({ prefix: "catalyst-" });

  /** Creates it with the content that `fill` writes. */
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

/** Why {@link ReadOnlyDirectory} cannot be used here; `null` if it can. */
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

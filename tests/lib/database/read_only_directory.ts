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

/** Attempts while the file system is in use. */
const ATTEMPTS = 50;

/**
 * Runs a command again while the file system is busy: a process that another test is starting has copies
 * of the files that are open here, until it runs its program.
 */
function run(command: string, args: string[]): void {
  for (let attempt = 1;; attempt++) {
    const { success, stderr } = new Deno.Command(command, { args }).outputSync();
    if (success) return;
    const message = new TextDecoder().decode(stderr);
    if (attempt === ATTEMPTS || !message.includes("busy")) throw new Error(message);
  }
}

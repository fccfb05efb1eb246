/** A program's calls to the file system, in order; each is still executed. */
export interface RecordedCalls extends Disposable {
  /** Such as `sync /data/backups`, `rename /data/a` (the new name), and `remove /data/b`. */
  readonly calls: readonly string[];
}

/** Records renames, removals and syncs of this thread until disposal. `onRemoved` is called after each removal. */
export function recordCalls(
  { onRemoved = () => {} }: { readonly onRemoved?: (path: string) => void } = {},
): RecordedCalls {
  const { open, rename, renameSync, removeSync } = Deno;
  const calls: string[] = [];
  Deno.open = async (path, options) => {
    const file = await open(path, options);
    const sync = file.sync.bind(file);
    file.sync = async () => {
      calls.push(`sync ${path}`);
      await sync();
    };
    return file;
  };
  Deno.rename = async (from, to) => {
    calls.push(`rename ${to}`);
    await rename(from, to);
  };
  Deno.renameSync = (from, to) => {
    calls.push(`rename ${to}`);
    renameSync(from, to);
  };
  Deno.removeSync = (path, options) => {
    removeSync(path, options);
    calls.push(`remove ${path}`);
    onRemoved(String(path));
  };
  return {
    calls,
    [Symbol.dispose]: () => {
      Object.assign(Deno, { open, rename, renameSync, removeSync });
    },
  };
}

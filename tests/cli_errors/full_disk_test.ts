import assert from "node:assert/strict";
import { join } from "node:path";
import { checkJson, checkText, kept, prepare, run } from "../cli_helpers.ts";
import { type Content, contentOf, copyDirectory, databaseNames, tempDir } from "../helpers.ts";
import { reasonForNoMount } from "../lib/database/read_only_directory.ts";
import { openSnapshots } from "../snapshot.ts";

const snapshots = openSnapshots("full_disk");
const noMount = reasonForNoMount();
const skipped = noMount === null ? "" : ` (skipped: ${noMount})`;

/** A small separate disk. */
class SmallDisk implements Disposable {
  readonly path: string = Deno.makeTempDirSync({ prefix: "catalyst-migrate-" });

  constructor(kibibytes: number) {
    mount(["-t", "tmpfs", "-o", `size=${kibibytes}k`, "tmpfs", this.path]);
  }

  /** Frees space. */
  grow(): void {
    mount(["-o", "remount,size=8m", this.path]);
  }

  /** Writes a file until only the given number of bytes is free. */
  fill(left: number): void {
    using file = Deno.openSync(join(this.path, "fill"), { create: true, write: true });
    try {
      while (true) file.writeSync(new Uint8Array(4096));
    } catch {
      file.truncateSync(Math.max(0, file.statSync().size - left));
    }
  }

  [Symbol.dispose](): void {
    new Deno.Command("umount", { args: [this.path] }).outputSync();
    Deno.removeSync(this.path);
  }
}

function mount(args: string[]): void {
  assert(new Deno.Command("mount", { args }).outputSync().success);
}

Deno.test({
  name:
    `on a disk of any size an upgrade stops when it is full and continues when there is space${skipped}`,
  ignore: noMount !== null,
  async fn() {
    const whole = await contentsAfterUpgrade();
    const messages = new Map<string, string>();
    for (let size = 8; size <= 400; size += 28) {
      using disk = new SmallDisk(size);
      const options = { cwd: disk.path };
      const args = ["upgrade", "--data-dir", "."];
      const json = size % 16 === 0;
      const result = await run(json ? [...args, "--json"] : args, options);
      if (result.code === 0) break;
      if (json) checkJson(result, { exit: 1, code: "DISK_FULL" });
      else {
        checkText(result, { exit: 1 });
        messages.set(/^error: .*$/m.exec(result.stderr)?.[0] ?? "", kept(args, {}, result));
      }
      disk.grow();
      for (const name of databaseNames) {
        const content = contentOf(join(disk.path, `${name}.db`));
        assert.equal(content.integrity, "ok");
        const isNew = content.objects.length === 0 && content.markers.length === 0;
        if (!isNew) assert.deepEqual(content, whole[name]);
      }
      await prepare(args, options);
      for (const name of databaseNames) {
        assert.deepEqual(contentOf(join(disk.path, `${name}.db`)), whole[name]);
      }
      await prepare(["verify", "--data", ...args.slice(1)], options);
    }
    assert(messages.size > 0);
  },
});

for (const left of [0, 40 * 1024, 120 * 1024]) {
  Deno.test({
    name: `on a disk with ${left} free bytes existing databases are not changed${skipped}`,
    ignore: noMount !== null,
    async fn() {
      await using directory = await tempDir();
      await prepare(["upgrade", "--data-dir", "."], { cwd: directory.path });
      using disk = new SmallDisk(2000);
      await copyDirectory(directory.path, disk.path);
      const cwd = disk.path;
      const contents = () => databaseNames.map((name) => contentOf(join(cwd, `${name}.db`)));
      const before = contents();
      disk.fill(left);
      await prepare(["status", "--data-dir", "."], { cwd });
      await prepare(["verify", "--data", "--data-dir", "."], { cwd });
      const args = ["downgrade", "--data-dir", "."];
      const result = await run(args, { cwd });
      if (result.code !== 0) {
        checkText(result, { exit: 1 });
        snapshots(`${left} bytes left`)(kept(args, {}, result));
        const again = await run([...args, "--json"], { cwd });
        if (again.code !== 0) checkJson(again, { exit: 1, code: "DISK_FULL" });
      }
      Deno.removeSync(join(cwd, "fill"));
      if (left === 0) assert.deepEqual(contents(), before);
      await prepare(["downgrade", "--data-dir", "."], { cwd });
      await prepare(["upgrade", "--data-dir", "."], { cwd });
      assert.deepEqual(contents(), before);
    },
  });
}

async function contentsAfterUpgrade(): Promise<Record<string, Content>> {
  await using directory = await tempDir();
  await prepare(["upgrade", "--data-dir", "."], { cwd: directory.path });
  return Object.fromEntries(
    databaseNames.map((name) => [name, contentOf(join(directory.path, `${name}.db`))]),
  );
}

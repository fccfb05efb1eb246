import assert from "node:assert/strict";
import { locksOn, otherHolders } from "../../../lib/base/lock_holders.ts";
import { findOpeners, mountOf, parseMounts } from "../../../lib/doctor/linux.ts";
import { execute, Program, TemporaryDirectory } from "../support.ts";
import { testOnLinux } from "./support.ts";

const MOUNTS = String.raw`22 28 0:20 / /proc rw,nosuid shared:13 - proc proc rw
28 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw
40 28 0:45 / /home/me/my\040bot\011\134x rw - fuse.sshfs me@nas:/bot\040data rw,user_id=0
41 28 254:0 /srv/data /home/me/bound rw - ext4 /dev/vda rw
42 28 0:50 / /home/me/frozen rw - nfs4 nas:/bot ro,vers=4.2
43 28 0:51 / /mnt/a rw - tmpfs tmpfs rw
44 28 0:52 / /mnt/a ro,nodev - xfs /dev/vdb rw
a line that is none
`;

Deno.test("the list of mounts is read, with optional fields and octal escapes", () => {
  const mounts = parseMounts(MOUNTS);
  assert.equal(mounts.length, 7);
  assert.deepEqual(mounts[1], { point: "/", type: "ext4", source: "/dev/vda", readOnly: false });
  assert.deepEqual(mounts[2], {
    point: "/home/me/my bot\t\\x",
    type: "fuse.sshfs",
    source: "me@nas:/bot data",
    readOnly: false,
  });
  assert.equal(mounts[4]?.readOnly, true);
});

Deno.test("a path is on its nearest mount, and of two at the same place on the later", () => {
  const mounts = parseMounts(MOUNTS);
  const typeOf = (path: string) => mountOf(mounts, path)?.type;
  assert.equal(typeOf("/home/me/my bot\t\\x/data/a.db"), "fuse.sshfs");
  assert.equal(typeOf("/home/me/my bot\t\\xy/a.db"), "ext4");
  assert.equal(typeOf("/home/me/bound"), "ext4");
  assert.equal(typeOf("/home/me/frozen/a.db"), "nfs4");
  assert.equal(typeOf("/mnt/a/b"), "xfs");
  assert.equal(typeOf("/"), "ext4");
  assert.equal(mountOf([], "/a"), null);
});

testOnLinux("every path has a mount in this machine's own list", () => {
  const mounts = parseMounts(Deno.readTextFileSync("/proc/self/mountinfo"));
  assert.equal(mountOf(mounts, "/proc/self")?.type, "proc");
  assert.notEqual(mountOf(mounts, Deno.cwd()), null);
});

testOnLinux(
  "processes that have a file open are found, even if the file was deleted",
  async () => {
    using directory = new TemporaryDirectory();
    const path = directory.file("my bot.db");
    execute(path, "PRAGMA journal_mode = WAL; CREATE TABLE t (a)");
    const found = () =>
      findOpeners([path]).openers.map(({ pid, what, command }) => ({
        pid,
        what,
        isDeno: command.includes("deno"),
      }));
    assert.deepEqual(found(), []);
    await using program = await Program.start(path, `db.exec("INSERT INTO t VALUES (1)")`);
    const { pid } = program;
    assert.deepEqual(found(), [{ pid, what: "file", isDeno: true }]);
    assert.deepEqual(otherHolders(locksOn(path)).map((one) => one.pid), [pid]);
    await Deno.rename(path, `${path}.old`);
    assert.deepEqual(found(), [{ pid, what: "moved", isDeno: true }]);
    await Deno.remove(`${path}.old`);
    assert.deepEqual(found(), [{ pid, what: "moved", isDeno: true }]);
    await Deno.remove(`${path}-wal`);
    assert.deepEqual(found(), [{ pid, what: "deleted", isDeno: true }]);
  },
);

/** Messages for databases that SQLite cannot open without saying why. */
import assert from "node:assert/strict";
import { translate } from "../../../lib/database/failure.ts";
import { denied } from "../../../lib/base/paths.ts";
import { openForReading } from "../../../lib/database/open.ts";
import { defaultSettings } from "../../../lib/database/connection.ts";
import type { AccessError } from "../../../lib/base/errors.ts";
import { execute, TemporaryDirectory } from "../support.ts";
import { ReadOnlyDirectory, reasonForNoMount } from "./read_only_directory.ts";

const unopened = new Error("unable to open database file");
const noMount = reasonForNoMount();
const isUnix = Deno.build.os !== "windows";

Deno.test({
  name: `a path that is too long for SQLite is reported${isUnix ? "" : " (skipped: Windows)"}`,
  ignore: !isUnix,
  async fn() {
    using directory = new TemporaryDirectory();
    const long = `${directory.path}/${"d".repeat(240)}/${"e".repeat(240)}`;
    Deno.mkdirSync(long, { recursive: true });
    const path = `${long}/a.db`;
    await assert.rejects(
      openForReading({ kind: "file", path }, defaultSettings),
      ({ message, help }: AccessError) =>
        message.includes(`: its path has ${path.length} bytes, and SQLite allows at most`) &&
        help === "use a directory with a shorter path",
    );
    const short = translate(unopened, { verb: "copy", label: "a.db", target: path });
    assert(short.message.startsWith(`Cannot copy a.db to ${path}: its path has `));
    assert.match(translate(unopened, { verb: "read", label: "a.db" }).message, /cannot be opened$/);
  },
});

Deno.test({
  name: "a log that cannot be read without creating a file beside it is reported" +
    (noMount === null ? "" : ` (skipped: ${noMount})`),
  ignore: noMount !== null,
  async fn() {
    using frozen = new ReadOnlyDirectory((path) => {
      execute(
        `${path}/b.db`,
        "PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES (1)",
      );
      Deno.writeTextFileSync(`${path}/b.db-wal`, "half of a log");
    });
    const path = `${frozen.path}/b.db`;
    await assert.rejects(
      openForReading({ kind: "file", path }, defaultSettings),
      ({ message, help }: AccessError) =>
        message ===
          `Cannot use ${path}: it has a log, ${path}-wal, and reading it requires creating ` +
            "a file beside it" && help?.startsWith("let this user write to the directory") === true,
    );
  },
});

Deno.test({
  name: "a process with too many open files is reported" +
    (isUnix ? "" : " (skipped: Windows)"),
  ignore: !isUnix,
  async fn() {
    const modules = ["database/failure", "terminal/output"].map((name) =>
      JSON.stringify(new URL(`../../../lib/${name}.ts`, import.meta.url).href)
    );
    const program = `import { translate } from ${modules[0]};
      import { reportOf } from ${modules[1]};
      const files = [];
      let system;
      try {
        for (;;) files.push(Deno.openSync("."));
      } catch (error) {
        system = error;
      }
      files.pop().close(); // SQLite has closed the files that it opened before
      const driver = new Error("unable to open database file");
      const translated = translate(driver, { verb: "use", label: "a.db" });
      console.log(JSON.stringify([translated.message, translated.help, reportOf(system)]));`;
    const args = ["-c", 'ulimit -n 64; exec "$0" eval "$1"', Deno.execPath(), program];
    const { stdout, stderr } = await new Deno.Command("sh", { args }).output();
    const help = "raise the limit, for example with `ulimit -n 1024`, then run the command again";
    const says = "this process has too many open files";
    assert.deepEqual(
      JSON.parse(new TextDecoder().decode(stdout) || new TextDecoder().decode(stderr)),
      [
        ...[`Cannot use a.db: ${says}`, help],
        { code: "NOT_PERMITTED", message: `Cannot run the command: ${says}`, help },
      ],
    );
  },
});

Deno.test("Deno's message about a permission is kept without its advice", () => {
  const ways = ["run again with the --allow-all flag", "specify the required permissions during"];
  for (const way of ways) {
    const all = denied(`Requires all access to "/dev/shm/a.db", ${way} ...`, "check that");
    assert.equal(
      all.reason,
      'Deno was not given the permission (Requires all access to "/dev/shm/a.db")',
    );
    assert.match(all.help, /-A/);
    const one = denied(`Requires write access to "a.db", ${way} ...`, "check that");
    assert.deepEqual(one, {
      reason: 'Deno was not given the permission (Requires write access to "a.db")',
      help: "check that",
    });
  }
  const cause = new Error('Requires write access to "a.db", run again with the --allow-write flag');
  const error = translate(cause, { verb: "open", label: "a.db" });
  assert.match(error.message, /\(Requires write access to "a\.db"\)$/);
});

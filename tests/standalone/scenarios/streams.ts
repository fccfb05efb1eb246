/** Tests with a pipe, a terminal or nothing as input and output, and of concurrent processes. */
import assert from "node:assert/strict";
import { outputOf, query } from "../../helpers.ts";
import { reasonForNoTerminal } from "../../lib/terminal/program.ts";
import type { Place } from "../place.ts";
import type { Scenario } from "../scenario.ts";
import { makeBot } from "./commands.ts";

/** The start of every colour sequence. */
const ESCAPE = "\x1b[";

const noShell = Deno.build.os === "windows" ? "there is no `sh`" : null;

/** Scenarios of streams and concurrent processes. */
export const streamScenarios: readonly Scenario[] = [
  {
    name: "a reader that closes the pipe and a closed stdin are not errors",
    commands: ["status", "history", "schema"],
    reason: () => noShell,
    async run(place) {
      await makeBot(place);
      const through = ["/bin/sh", "-c", '{ "$@"; echo "exit $?" >&2; } | head -n 1', "sh"];
      for (const command of ["status", "history", "schema", "--help"]) {
        const { stdout, stderr } = await place.ok(command, { through, same: command !== "--help" });
        assert.equal(stdout.split("\n").length, 2);
        assert.match(stderr, /exit 0\n$/);
      }
      await place.ok("status", { through: ["/bin/sh", "-c", 'exec "$@" <&-', "sh"] });
      await place.ok("status", { through: ["/bin/sh", "-c", 'exec "$@" >/dev/null 2>&1', "sh"] });
    },
  },
  {
    name: "without a terminal there are no prompts and no colours",
    commands: ["downgrade", "restore", "import", "status"],
    async run(place) {
      await makeBot(place);
      await place.ok("backup");
      const { stdout, stderr } = await place.ok("status");
      assert(!(stdout + stderr).includes(ESCAPE));
      // Piped input is not an answer.
      for (const command of ["downgrade", "restore latest"]) {
        await place.ends(1, command, { input: "yes\nyes\n" });
      }
      await place.ok("status --check");
    },
  },
  {
    name: "on a terminal it asks before rows are lost, and uses colours unless NO_COLOR is set",
    commands: ["downgrade", "status"],
    reason: reasonForNoTerminal,
    async run(place) {
      await makeBot(place);
      assert((await onTerminal(place, ["status"])).includes(ESCAPE));
      const env = { NO_COLOR: "1" };
      assert(!(await onTerminal(place, ["status"], { env })).includes(ESCAPE));
      const refused = await onTerminal(place, ["downgrade"], { env, input: "no\n", code: 1 });
      assert.match(refused, /training_runs +3 rows/);
      await place.ok("status --check");
      await onTerminal(place, ["downgrade"], { env, input: "yes\n" });
      const tables = query(
        place.file("data/trading.db"),
        "SELECT name FROM sqlite_schema WHERE name = 'orders'",
      );
      assert.deepEqual(tables, []);
    },
  },
  {
    name: "two concurrent runs do the work once, and both succeed",
    commands: ["upgrade", "backup"],
    async run(place) {
      for (let round = 1; round <= 3; round++) {
        const args = ["upgrade", "--json", "--data-dir", `data${round}`];
        const both = [place.run(args, { same: false }), place.run(args, { same: false })];
        const applied = (await Promise.all(both)).map(({ code, stdout, stderr }) => {
          assert.equal(code, 0, stderr);
          return JSON.parse(stdout).applied.length;
        });
        assert.deepEqual(applied.toSorted(), [0, 3]);
      }
      const both = [
        place.run("backup --data-dir data1", { same: false }),
        place.run("verify --data-dir data1", { same: false }),
      ];
      for (const { code, stderr } of await Promise.all(both)) assert.equal(code, 0, stderr);
    },
  },
];

interface TerminalOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** Expected exit code. Default 0. */
  readonly code?: number;
}

/** Runs a command on a terminal that `script` of util-linux makes. */
async function onTerminal(
  place: Place,
  args: readonly string[],
  { env = {}, input = "", code = 0 }: TerminalOptions = {},
): Promise<string> {
  const line = place.line(args).map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
  const child = new Deno.Command("script", {
    args: ["--quiet", "--return", "--echo", "never", "--command", line, "/dev/null"],
    cwd: place.path,
    clearEnv: true,
    env: { ...place.environment({ env }), DENO_LOG: "off", TERM: "xterm" },
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const output = await outputOf(child);
  const text = new TextDecoder().decode(output.stdout);
  assert.equal(output.code, code, text);
  place.transcript.push(`$ ${args.join(" ")}\n${place.normalized(text)}`);
  return text;
}

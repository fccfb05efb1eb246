import assert from "node:assert/strict";
import { commonFlags, formsOf } from "../../../lib/commands/flags.ts";
import { exitCodes } from "../../../lib/commands/exit_code.ts";
import { environment, files } from "../../../lib/commands/help.ts";
import { commandNames, loadCommand } from "../../../lib/commands/main.ts";
import { manualPage } from "../../../lib/commands/man.ts";
import { version } from "../../../lib/base/version.ts";
import { decoded } from "../../cli_helpers.ts";
import { runCommandLine, TemporaryDirectory } from "../support.ts";
import { whyNot } from "./shells.ts";

const commands = await Promise.all(commandNames.map(loadCommand));
const page = manualPage(commands);

/** The text of this page's roff, on one line. */
function shown(roff: string): string {
  return roff.replace(/\\f[BIR]|\\&/g, "").replaceAll("\\-", "-").replaceAll("\\(aq", "'")
    .replaceAll("\\(ti", "~").replaceAll("\\(ha", "^").replaceAll("\\(ga", "`")
    .replaceAll("\\e", "\\").replace(/\s+/g, " ");
}

/** A test that runs a program on the page; if it is missing, the test's name says so. */
function pageTest(program: string, name: string, args: readonly string[]): void {
  const reason = whyNot(program);
  Deno.test({
    name: `${program} ${name}${reason === null ? "" : ` (skipped: ${reason})`}`,
    ignore: reason !== null,
    fn: async () => {
      using directory = new TemporaryDirectory();
      Deno.writeTextFileSync(directory.file("page.1"), page);
      const ran = await new Deno.Command(program, {
        args: [...args, "page.1"],
        cwd: directory.path,
        env: { LC_ALL: "C.UTF-8", MANWIDTH: "80" },
      }).output();
      const { stdout, stderr } = decoded(ran);
      const said = args.includes("-Tlint") ? stdout + stderr : stderr;
      // The page is the same for the same version, so it can't contain a date.
      const complaints = said.split("\n").filter((line) =>
        line !== "" && !line.includes('missing date, using ""')
      );
      assert.deepEqual(complaints, []);
    },
  });
}

pageTest("mandoc", "has no complaint about the manual page", ["-Tlint", "-W", "warning"]);
pageTest("groff", "has no complaint about the manual page", ["-ww", "-man", "-Tutf8"]);
pageTest("man", "shows the manual page without a complaint", ["--warnings", "-P", "cat", "-l"]);

Deno.test("the command prints the page, and it is the same each time", async () => {
  const { code, stdout, stderr } = await runCommandLine(["man"]);
  assert.deepEqual([code, stdout, stderr], [0, page, ""]);
  assert.equal(manualPage(commands), page);
  assert.match(page, /^\.TH "CATALYST\\-MIGRATE" "1" "" "catalyst\\-migrate .*"/);
  assert(page.split("\n")[0]?.includes(version));
  const json = await runCommandLine(["man", "--json"]);
  assert.deepEqual(JSON.parse(json.stdout), { ok: true, page });
});

Deno.test("the page has every command, form, flag, example, variable, file and exit code", () => {
  const text = shown(page);
  for (const { name, flags, examples, ...command } of commands) {
    assert(page.includes(`\n.SS "${name}"\n`), name);
    for (const { summary, word } of formsOf({ name, flags, examples, ...command })) {
      assert(text.toLowerCase().includes(summary.replaceAll("`", "").toLowerCase()), summary);
      assert(text.includes([name, word].join(" ").trim()));
    }
    for (
      const [flag, { value, shown = value, help }] of Object.entries({ ...flags, ...commonFlags })
    ) {
      assert(text.includes(`--${flag}${shown === undefined ? "" : ` ${shown}`} `), flag);
      assert(text.includes(help.replaceAll("`", "")), help);
    }
    for (const [line, does] of examples) {
      assert(text.includes(`catalyst-migrate ${line} `), line);
      assert(text.includes(does.replaceAll("`", "")), does);
    }
  }
  for (const [term, is] of [...environment, ...files, ...exitCodes]) {
    assert(text.includes(`.TP ${term} ${is}`), term);
  }
});

Deno.test("characters that roff interprets are escaped: backslashes, hyphens, dots, quotes", () => {
  const hostile = manualPage([{
    name: "odd",
    summary: "a \\n `it's` ^ ~ - \u00e9",
    flags: { "dot": { help: ".SH not a section" } },
    examples: [["odd 'x'", "'br not a break"]],
  }]);
  assert.match(hostile, /^A \\en \\fBit\\\(aqs\\fR \\\(ha \\\(ti \\- \\\[u00E9\]\.$/m);
  assert.match(hostile, /^\\&\.SH not a section$/m);
  assert.match(hostile, /^\\\(aqbr not a break$/m);
  for (const text of [page, hostile]) {
    assert.match(text, /^[\n -~]+$/);
    assert.doesNotMatch(text, /(?<!\\)-/);
    for (const line of text.split("\n")) {
      const isMacro = /^\.(TH|SH|SS|TP|PP|RS|RE|nf|fi|br)\b/.test(line);
      assert(isMacro || !/^[.']/.test(line), line);
    }
  }
});

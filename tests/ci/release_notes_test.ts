import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { releaseNotes } from "../../.ci/release_notes.ts";
import config from "../../deno.json" with { type: "json" };

const changelog = `# Changelog

## Unreleased

- Not yet.

## 1.2.0 (2026-11-22)

### Added

- A command that does
  much.
- Another one:

\`\`\`sh
one
two
\`\`\`

A paragraph of
two lines.

## 1.1.0 (2026-01-02)

- Older.

## 1.0.1

- Undated.

## 1.0.0 (2026-01-01)

### Added
`;

function notesOf(tag: string, version = tag.replace("v", "")): string {
  return releaseNotes({ tag, version, changelog });
}

Deno.test("release notes are the section of the changelog, with one line per item", () => {
  assert.equal(
    notesOf("v1.2.0"),
    "### Added\n\n- A command that does much.\n- Another one:\n\n```sh\none\ntwo\n```\n\n" +
      "A paragraph of two lines.\n",
  );
  assert.equal(notesOf("1.1.0"), "- Older.\n");
});

Deno.test("Windows line endings make no difference", () => {
  const windows = changelog.replaceAll("\n", "\r\n");
  const notes = releaseNotes({ tag: "v1.2.0", version: "1.2.0", changelog: windows });
  assert.equal(notes, notesOf("v1.2.0"));
});

Deno.test("a tag that is not the version in deno.json stops a release", () => {
  assert.throws(() => notesOf("v1.2.0", "1.1.0"), {
    message: "Cannot release 1.2.0: deno.json has version 1.1.0",
  });
});

Deno.test("a missing, undated or empty section stops a release", () => {
  assert.throws(() => notesOf("v2.0.0"), {
    message: 'Cannot release 2.0.0: CHANGELOG.md has no section "## 2.0.0 (YYYY-MM-DD)"',
  });
  assert.throws(() => notesOf("v1.2"), /has no section/);
  assert.throws(() => notesOf("v1.0.1"), /"## 1\.0\.1" should be "## 1\.0\.1 \(YYYY-MM-DD\)"/);
  assert.throws(() => notesOf("v1.0.0"), /its section in CHANGELOG\.md is empty/);
});

Deno.test("the program prints the notes or one error line", async () => {
  const script = fileURLToPath(new URL("../../.ci/release_notes.ts", import.meta.url));
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-read", script, ...args],
      env: { NO_COLOR: "1" },
    }).output();
    const decoder = new TextDecoder();
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  };
  assert.deepEqual(await run("v0.0.0-none"), {
    code: 1,
    stdout: "",
    stderr: `error: Cannot release 0.0.0-none: deno.json has version ${config.version}\n`,
  });
  assert.equal((await run()).code, 1);
  // The current version may or may not be released: its section is found or reported as missing.
  const { code, stdout, stderr } = await run(`v${config.version}`);
  if (code === 0) assert.notEqual(stdout.trim(), "");
  else assert.match(stderr, /^error: Cannot release .*CHANGELOG\.md.*\n$/);
});

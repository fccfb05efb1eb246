import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Variable that makes a run write the messages instead of comparing them. */
const UPDATE = "UPDATE_SNAPSHOTS";

const directory = new URL("testdata/messages/", import.meta.url);
const HEADING = "=== ";

/** Compares a text with the stored text of a name. */
export type Snapshots = (name: string) => (text: string) => void;

/**
 * Opens a snapshot file, `testdata/messages/TOPIC.txt`, which only one test module may use. With
 * `UPDATE_SNAPSHOTS=1` in the environment, texts are written there instead of being compared; review
 * the diff before committing it.
 */
export function openSnapshots(topic: string): Snapshots {
  const file = new URL(`${topic}.txt`, directory);
  const kept = read(file);
  const isUpdate = Deno.env.get(UPDATE) === "1";
  const used = new Set<string>();
  return (name) => (text) => {
    assert(!used.has(name), `two texts have the name "${name}"`);
    used.add(name);
    const actual = normalized(text);
    if (isUpdate && kept.get(name) !== actual) {
      kept.set(name, actual);
      write(file, kept);
    }
    const hint = `"${name}" in tests/testdata/messages/${topic}.txt; run with ${UPDATE}=1 to renew`;
    assert.equal(actual, kept.get(name), hint);
  };
}

/** Replaces the parts of a text that differ between runs and machines. */
export function normalized(text: string): string {
  return text
    .replaceAll(join(tmpdir(), "catalyst-"), "/catalyst-") // it may contain spaces
    .replace(/process \d+ \([^\n]*?\)(?=\n|$|"|; )/g, "process <pid> (<command>)")
    .replace(/process \d+/g, "process <pid>")
    .replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, "<time>")
    .replace(/(?:[A-Z]:)?[\\/](?:[^\s"'\\/]+[\\/])*(?:catalyst-[^\s"'\\/]*)/g, "<directory>")
    .replaceAll("<directory>\\", "<directory>/")
    .trim();
}

function read(file: URL): Map<string, string> {
  try {
    const sections = Deno.readTextFileSync(file).replaceAll("\r\n", "\n").split(/^=== /m).slice(1);
    return new Map(sections.map((section) => {
      const end = section.indexOf("\n");
      return [section.slice(0, end), section.slice(end).trim()];
    }));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return new Map();
    throw error;
  }
}

function write(file: URL, kept: ReadonlyMap<string, string>): void {
  const sections = [...kept].map(([name, text]) => `${HEADING}${name}\n${text}\n`);
  Deno.writeTextFileSync(file, sections.join("\n"));
}

/**
 * Prints the notes of a release: the section of its version in CHANGELOG.md.
 *
 * Usage: `deno run --allow-read .ci/release_notes.ts VERSION`, where VERSION may be a tag such as `v1.2.3`.
 * Fails if that isn't the version in deno.json, or if its section is missing, undated or empty.
 *
 * @module
 */

/** The inputs of a release. */
export interface Release {
  /** Version or tag to release, such as `v1.2.3`. */
  readonly tag: string;
  /** Version in deno.json. */
  readonly version: string;
  /** Text of CHANGELOG.md. */
  readonly changelog: string;
}

/** The notes of a release, formatted for GitHub. */
export function releaseNotes({ tag, version, changelog }: Release): string {
  const wanted = tag.replace(/^v(?=\d)/, "");
  if (wanted !== version) {
    throw new Error(`Cannot release ${wanted}: deno.json has version ${version}`);
  }
  const lines = changelog.split(/\r?\n/);
  const headings = lines.flatMap((line, index) => /^## /.test(line) ? [index] : []);
  const start = headings.find((index) => (lines[index] ?? "").split(" ")[1] === wanted);
  if (start === undefined) {
    throw new Error(
      `Cannot release ${wanted}: CHANGELOG.md has no section "## ${wanted} (YYYY-MM-DD)"`,
    );
  }
  const heading = lines[start] ?? "";
  if (!/^## \S+ \(\d{4}-\d{2}-\d{2}\)$/.test(heading)) {
    throw new Error(
      `Cannot release ${wanted}: in CHANGELOG.md "${heading}" should be "## ${wanted} (YYYY-MM-DD)"`,
    );
  }
  const body = lines.slice(start + 1, headings.find((index) => index > start));
  if (!body.some((line) => line.trim() !== "" && !line.startsWith("#"))) {
    throw new Error(`Cannot release ${wanted}: its section in CHANGELOG.md is empty`);
  }
  return unwrapped(body).join("\n").trim() + "\n";
}

/** Joins each paragraph and list item into one line, because GitHub shows line breaks in notes. */
function unwrapped(lines: readonly string[]): string[] {
  const result: string[] = [];
  let fenced = false;
  let open = false; // whether the next line may continue the previous one
  for (const line of lines) {
    const fence = line.trimStart().startsWith("```");
    const begins = /^\s*([-*+]|\d+\.)\s|^#|^\s*$|^[>|]/.test(line);
    if (open && !fenced && !fence && !begins) {
      result.push(`${result.pop() ?? ""} ${line.trim()}`);
      continue;
    }
    result.push(line);
    if (fence) fenced = !fenced;
    open = !fenced && !fence && !/^#|^\s*$|^[>|]/.test(line);
  }
  return result;
}

if (import.meta.main) {
  const root = new URL("../", import.meta.url);
  const [tag] = Deno.args;
  try {
    if (tag === undefined) throw new Error("Cannot release: no version was given");
    const { version } = JSON.parse(await Deno.readTextFile(new URL("deno.json", root)));
    const changelog = await Deno.readTextFile(new URL("CHANGELOG.md", root));
    const notes = releaseNotes({ tag, version: String(version), changelog });
    await Deno.stdout.write(new TextEncoder().encode(notes));
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    await Deno.stderr.write(new TextEncoder().encode(`error: ${error.message}\n`));
    Deno.exit(1);
  }
}

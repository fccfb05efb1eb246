import assert from "node:assert/strict";

const root = new URL("../../", import.meta.url);
const documents = [
  "README.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  ...[...Deno.readDirSync(new URL("docs/", root))].map(({ name }) => `docs/${name}`)
    .filter((name) => name.endsWith(".md")).sort(),
];

function isThere(path: string): boolean {
  try {
    Deno.statSync(new URL(path, root));
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** The anchors of a page's headings, as GitHub makes them. */
function headingsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading.toLowerCase().replaceAll(/[^\w -]/g, "").replaceAll(" ", "-")
  );
}

for (const name of documents) {
  const text = Deno.readTextFileSync(new URL(name, root));

  Deno.test(`the files that ${name} links to are there`, () => {
    const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target);
    for (const link of links.filter((one) => !/^https:\/\//.test(one))) {
      const [path = "", heading] = link.split("#");
      const target = path === ""
        ? name
        : new URL(path, new URL(name, root)).href.slice(root.href.length);
      assert.ok(isThere(target), link);
      if (heading === undefined) continue;
      const linked = Deno.readTextFileSync(new URL(target, root));
      assert.ok(headingsOf(linked).includes(heading), link);
    }
  });

  Deno.test(`the files, directories and tasks in the commands of ${name} are there`, () => {
    const code = [...text.matchAll(/`([^`]+)`/g)].map(([, words = ""]) => words).join("\n");
    const { tasks } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", root)));
    for (const [, task = ""] of code.matchAll(/\btask ([\w-]+)/g)) {
      assert.ok(Object.hasOwn(tasks, task), `deno.json has no task ${task}`);
    }
    // A name in capitals, or 004_name, stands for one that is to be written.
    const paths = [...code.matchAll(/(?:^|\s)((?:\.ci|lib|tests)\/[\w./-]+)/gm)];
    for (const [, path = ""] of paths) {
      if (!/[A-Z]{2}/.test(path)) assert.ok(isThere(path), path);
    }
  });
}

Deno.test("the issue templates and the security policy name the same place for private reports", () => {
  const form = "https://github.com/catalyst/migrate/security/advisories/new";
  for (const name of ["SECURITY.md", ".github/ISSUE_TEMPLATE/config.yml"]) {
    assert.ok(Deno.readTextFileSync(new URL(name, root)).includes(form), name);
  }
});

import assert from "node:assert/strict";

const root = new URL("../../", import.meta.url);
const documents = ["README.md", "CONTRIBUTING.md", "SECURITY.md"];

function isThere(path: string): boolean {
  try {
    Deno.statSync(new URL(path, root));
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

for (const name of documents) {
  const text = Deno.readTextFileSync(new URL(name, root));

  Deno.test(`the files that ${name} links to are there`, () => {
    const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target);
    const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
      `#${heading.toLowerCase().replaceAll(/[^\w -]/g, "").replaceAll(" ", "-")}`
    );
    for (const link of links.filter((one) => !/^https:\/\//.test(one))) {
      if (link.startsWith("#")) assert.ok(headings.includes(link), link);
      else assert.ok(isThere(link), link);
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

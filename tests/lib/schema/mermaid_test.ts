import library from "@mermaid-js/tiny" with { type: "text" };
import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import { formatMermaid } from "../../../lib/schema/markdown.ts";
import { bundledMigrations } from "../../../migrations/mod.ts";
import { TemporaryDirectory } from "../support.ts";
import { HOSTILE, schemaOf } from "./sample.ts";

async function diagram(sql: string): Promise<string> {
  return formatMermaid(new Map([["shop", await schemaOf(sql)]]));
}

Deno.test("a diagram has the tables with their keys, meanings and relationships", async () => {
  const text = await diagram(`CREATE TABLE parents (id INTEGER PRIMARY KEY, code TEXT UNIQUE);
  CREATE TABLE children (
    a INTEGER NOT NULL REFERENCES parents, -- the parent's "id"
    b TEXT REFERENCES Parents (code),
    c INTEGER PRIMARY KEY REFERENCES parents,
    d VARCHAR ( 9 )
  );
  CREATE VIEW v AS SELECT 1 AS x`);
  assert.equal(
    text,
    `erDiagram
  "children" {
    INTEGER a FK "the parent's #34;id#34;"
    TEXT b FK
    INTEGER c PK, FK
    VARCHAR(9) d
  }
  "parents" {
    INTEGER id PK
    TEXT code UK
  }
  "parents" ||--o{ "children" : "a"
  "parents" |o--o{ "children" : "b"
  "parents" ||--o| "children" : "c"
`,
  );
});

Deno.test("in a diagram of several databases each table is prefixed with the name of its database", async () => {
  const schema = await schemaOf("CREATE TABLE t (a INT REFERENCES t)");
  const text = formatMermaid(new Map([["one", schema], ["two", schema]]));
  assert.deepEqual(text.match(/^ {2}".*/gm), [
    '  "one.t" {',
    '  "one.t" |o--o{ "one.t" : "a"',
    '  "two.t" {',
    '  "two.t" |o--o{ "two.t" : "a"',
  ]);
});

const browser = ["chromium", "chromium-browser", "google-chrome"].find((name) => {
  try {
    return new Deno.Command(name, { args: ["--version"] }).outputSync().success;
  } catch {
    return false;
  }
});

Deno.test({
  name: `a browser draws the diagrams${browser === undefined ? " (skipped: no Chromium)" : ""}`,
  ignore: browser === undefined,
  fn: async () => {
    using directory = new TemporaryDirectory();
    const bundled = new Map<string, string>();
    for (const { database, upgrade } of bundledMigrations) {
      bundled.set(database, `${bundled.get(database) ?? ""}\n${upgrade}`);
    }
    const schemas = new Map(
      await Promise.all(
        [...bundled].map(async ([name, sql]) => [name, await schemaOf(sql)] as const),
      ),
    );
    const texts = [formatMermaid(schemas), await diagram(HOSTILE), await diagram("")];
    const drawn = await draw(browser ?? "", { texts, directory });
    const [all = [], hostile = [], empty] = drawn;
    for (const name of ["positions.positions", "trading.orders", "ml_training.training_runs"]) {
      assert(all.includes(name), name);
    }
    assert(all.includes("shares; positive for a sale as well"));
    assert(all.includes("run_id"));
    assert(hostile.includes('a b"c%\\;{}<img src=x onerror=alert(1)>'));
    assert(hostile.includes('pk: <script>alert(1)</script> "quoted" #1; {x} */ """'));
    for (const name of ["größe", "日本", "VARCHAR(10,2)", "gone"]) {
      assert(hostile.includes(name), name);
    }
    assert.deepEqual(empty, []);
  },
});

interface DrawOptions {
  readonly texts: readonly string[];
  readonly directory: TemporaryDirectory;
}

/** Renders diagrams in a browser and returns the label texts of each. */
async function draw(program: string, { texts, directory }: DrawOptions): Promise<string[][]> {
  const page =
    `<!DOCTYPE html><meta charset="utf-8"><body><script src="mermaid.js"></script><script>
    mermaid.initialize({ startOnLoad: false });
    (async () => {
      const found = [];
      for (const text of ${JSON.stringify(texts).replaceAll("<", "\\u003c")}) {
        const holder = document.createElement("div");
        holder.innerHTML = (await mermaid.render("d" + found.length, text)).svg;
        document.body.append(holder);
        found.push([...holder.querySelectorAll("foreignObject")]
          .map((label) => label.textContent.trim()).filter((label) => label !== ""));
        holder.remove();
      }
      document.title = JSON.stringify(found);
    })().catch((error) => document.title = JSON.stringify(String(error)));
  </script>`;
  Deno.writeTextFileSync(directory.file("page.html"), page);
  Deno.writeTextFileSync(directory.file("mermaid.js"), library);
  const { stdout, stderr } = await new Deno.Command(program, {
    args: [
      ...["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=60000"],
      ...[`--user-data-dir=${directory.file("profile")}`, "--dump-dom"],
      pathToFileURL(directory.file("page.html")).href,
    ],
  }).output();
  const title = /<title>(.*?)<\/title>/s.exec(new TextDecoder().decode(stdout))?.[1] ?? "";
  assert(title.startsWith("[["), title || new TextDecoder().decode(stderr));
  const entities: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&" };
  return JSON.parse(title.replaceAll(/&(lt|gt|amp);/g, (all, name) => entities[name] ?? all));
}

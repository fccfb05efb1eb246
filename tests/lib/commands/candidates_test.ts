import assert from "node:assert/strict";
import {
  complete,
  type Completion,
  type CompletionState,
  renderCompletion,
  type ValueKind,
  wordsOf,
} from "../../../lib/commands/candidates.ts";
import { commandNames, loadCommand } from "../../../lib/commands/main.ts";

/** The real commands, with values that show their kind. */
const state: CompletionState = {
  names: commandNames,
  load: loadCommand,
  values: (kind: ValueKind) =>
    Promise.resolve(
      {
        ID: [{ value: "001", description: "create notes" }],
        DATABASE: [{ value: "trading", description: "" }, { value: "positions", description: "" }],
        SNAPSHOT: [{ value: "latest", description: "the newest one" }],
        QUERY: [{ value: "win-rate", description: "win rate" }],
      }[kind],
    ),
};

/** Completes a line; the text after its last space is the word at the cursor. */
function completeLine(line: string): Promise<Completion> {
  return complete(line.split(" "), state);
}

/** The offered values, in order, and the kind of paths. */
async function offered(line: string): Promise<string> {
  const { prefix, candidates, paths } = await completeLine(line);
  return [...candidates.map(({ value }) => prefix + value), ...paths === "none" ? [] : [paths]]
    .join(" ");
}

const lines: Readonly<Record<string, string>> = {
  "query ": "win-rate trading positions",
  "query trading --format ": "table csv json jsonl markdown",
  "upgrade --migration ": "001",
  "upgrade --to ": "001",
  "--to ": "001",
  "upgrade --to=": "--to=001",
  "upgrade --to=0": "--to=001",
  "downgrade --steps ": "",
  "repair --accept-changed ": "001",
  "redo ": "001",
  "lint ": "001 files",
  "lint a.sql ": "001 files",
  "baseline --to ": "001",
  "squash --out ": "directories",
  "rehearse --dir ": "directories",
  "status --data-dir ": "directories",
  "--data-dir ": "directories",
  "status --data-dir=": "directories",
  "status --timeout ": "",
  "backup ": "list verify prune trading positions",
  "backup trading ": "positions",
  "backup verify ": "latest",
  "backup --out x verify ": "latest",
  "backup --verify ": "quick full none",
  "backup --verify=": "--verify=quick --verify=full --verify=none",
  "restore ": "latest files",
  "restore latest ": "trading positions",
  "restore latest trading ": "positions",
  "export ": "trading positions",
  "export --out ": "files",
  "export trading --format ": "sql csv jsonl",
  "export trading --table ": "",
  "import ": "files",
  "import --database ": "trading positions",
  "import --skip-bad-rows ": "files",
  "new ": "--database --kind --timestamp",
  "new x --kind ": "sql ts js",
  "schema --check ": "files",
  "schema --format ": "sql json mermaid markdown typescript python",
  "completion ": "bash zsh fish powershell",
  "help backup ": "list verify prune",
  "help status ": "",
  "help backup list ": "",
  "status > ": "files",
  "status 2>> ": "files",
  "export > x ": "trading positions",
  "upgrade --nonsense=": "",
  "upgrade --dry-run=": "",
  "upgrade --constructor=": "",
};

for (const [line, values] of Object.entries(lines)) {
  Deno.test(`completing \`${line}\` offers ${values === "" ? "nothing" : values}`, async () => {
    const got = await offered(line);
    // If nothing else is possible, flags are offered; the common ones are omitted here.
    assert.equal(
      got.replace(/ ?--data-dir --stop-at-first --config --migrations-dir .*$/, ""),
      values,
    );
  });
}

Deno.test("without a command, the commands and help are offered with their summaries", async () => {
  const { candidates } = await completeLine("");
  assert.deepEqual(candidates.map(({ value }) => value), [...commandNames, "help"]);
  for (const { description } of candidates) assert.notEqual(description, "");
  assert.deepEqual((await completeLine("help ")).candidates, candidates);
  assert.deepEqual((await completeLine("--json --data-dir x ")).candidates, candidates);
});

Deno.test("every flag of every command is offered once, with its description", async () => {
  for (const name of commandNames) {
    const command = await loadCommand(name);
    if (command.forms !== undefined) continue;
    const { candidates } = await completeLine(`${name} --`);
    for (const [flag, { help }] of Object.entries(command.flags)) {
      const found = candidates.filter(({ value }) => value === `--${flag}`);
      assert.deepEqual(found, [{ value: `--${flag}`, description: help }]);
    }
  }
});

Deno.test("a used flag is offered again only if it may be repeated", async () => {
  const values = (await offered("export trading --table orders --all --format=csv -")).split(" ");
  assert(values.includes("--table"));
  assert(!values.includes("--all"));
  assert(!values.includes("--format"));
});

Deno.test("a subcommand offers only its own flags", async () => {
  assert.match(await offered("backup prune --"), /^--out --keep .*--dry-run --data-dir/);
  assert.match(await offered("backup list --"), /^--out --from --data-dir/);
  assert.match(await offered("backup --"), /^--out --if-older-than --verify --compress --data-dir/);
});

Deno.test("values are looked up with the flags of the line", async () => {
  let seen: unknown;
  const words = ["--data-dir", "a b", "backup", "verify", "--out=c", "--json", ""];
  await complete(words, {
    ...state,
    values: (_, flags) => {
      seen = flags;
      return Promise.resolve([]);
    },
  });
  assert.deepEqual(seen, { "data-dir": ["a b"], "out": "c", "json": true });
});

Deno.test("completion knows every kind of value that a flag names", async () => {
  const known = ["ID", "DATABASE", "SNAPSHOT", "DIR", "FILE"];
  const free = ["N", "DURATION", "T", "NAME", "NAME=VALUE", "DATE", "SECONDS", "ROWS", "-"];
  for (const { flags } of await Promise.all(commandNames.map(loadCommand))) {
    for (const [flag, { value }] of Object.entries(flags)) {
      for (const word of value?.split("|") ?? []) {
        const isChoice = /^[a-z]+$/.test(word);
        assert(isChoice || known.includes(word) || free.includes(word), `${word} of --${flag}`);
      }
    }
  }
});

Deno.test("a line of bash is parsed as bash does, without expansions", () => {
  const words: readonly (readonly [string, ...string[]])[] = [
    ["plain", "plain"],
    ["a\\ b", "a b"],
    ["'a b", "a b"],
    ["'a\\'b", "a\\b"],
    ['"a \\"b\\" \\c"d', 'a "b" \\cd'],
    ["sub\\ ", "sub "],
    ["'sub ", "sub "],
    ["a  ", "a", ""],
    ["$(touch pwned)", "$(touch", "pwned)"],
    ["a>b", "a", ">", "b"],
    ["a 2>> ", "a", "2>>", ""],
    ["a &>", "a", "&>", ""],
    ["it\\'s", "it's"],
    ["\\", ""],
    ["", ""],
  ];
  for (const [written, ...meant] of words) {
    assert.deepEqual(wordsOf(`program ${written}`), meant, written);
  }
});

Deno.test("a shell gets no value that it could interpret", () => {
  const values = [
    "ok-1.2_x",
    "a b",
    "$(x)",
    "`x`",
    "a'b",
    'a"b',
    "a;b",
    "a\nb",
    "a\tb",
    "~",
    "*",
    "",
  ];
  const completion: Completion = {
    prefix: "",
    candidates: values.map((value) => ({ value, description: "a\tb\nc\u001b[31m" })),
    paths: "files",
  };
  for (const shell of ["zsh", "fish", "powershell"] as const) {
    const text = renderCompletion(completion, { shell, words: [""] });
    assert.equal(text, "files\nok-1.2_x\ta\\tb\\nc\\x1b[31m\n");
  }
  assert.equal(renderCompletion(completion, { shell: "bash", words: [""] }), "files\nok-1.2_x\n");
});

Deno.test("bash and PowerShell get values with the word's prefix, the others filter themselves", async () => {
  const completion = await completeLine("backup pru");
  assert.equal(
    renderCompletion(completion, { shell: "bash", words: ["pru"] }).split("\n").length,
    3,
  );
  assert.equal(
    renderCompletion(completion, { shell: "powershell", words: ["pru"] }).split("\n").length,
    3,
  );
  assert.equal(
    renderCompletion(completion, { shell: "fish", words: ["pru"] }).split("\n").length,
    7,
  );
  const inline = await completeLine("new x --kind=t");
  assert.equal(
    renderCompletion(inline, { shell: "bash", words: ["--kind=t"] }),
    "none\n--kind=ts\n",
  );
  assert.match(renderCompletion(inline, { shell: "fish", words: ["--kind=t"] }), /^--kind=sql\t$/m);
  assert.match(renderCompletion(inline, { shell: "zsh", words: ["--kind=t"] }), /^sql\t$/m);
});

Deno.test("bash gets only the part of a value that it replaces, and a list with descriptions", async () => {
  const inline = await completeLine("upgrade --to=0");
  const words = ["--to=0"];
  assert.equal(renderCompletion(inline, { shell: "bash", words, replaced: "0" }), "none\n001\n");
  const flags = await completeLine("upgrade --migra");
  const list = renderCompletion(flags, { shell: "bash", words: ["--migra"], width: 40 });
  assert.equal(
    list,
    "none\n--migration       apply only this one\n--migrations-dir  directory of your ow\n",
  );
});

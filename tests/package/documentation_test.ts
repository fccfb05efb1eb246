import assert from "node:assert/strict";
import { configuration, root } from "./registry.ts";

// The relevant part of `deno doc --json`.
interface JsDoc {
  readonly doc?: string;
  readonly tags?: readonly { readonly kind: string; readonly doc?: string }[];
}
interface Member {
  readonly name?: string;
  readonly kind?: string;
  readonly accessibility?: string;
  readonly jsDoc?: JsDoc;
}
interface Definition {
  readonly constructors?: readonly Member[];
  readonly properties?: readonly Member[];
  readonly methods?: readonly Member[];
  readonly tsType?: TypeDefinition;
}
interface TypeDefinition {
  readonly kind: string;
  readonly value?: unknown;
}
interface Declaration {
  readonly kind: string;
  readonly declarationKind: string;
  readonly jsDoc?: JsDoc;
  readonly def?: Definition;
}
interface Exported {
  readonly name: string;
  readonly declarations: readonly Declaration[];
}
interface Documentation {
  readonly version: number;
  readonly nodes: Readonly<
    Record<string, { readonly module_doc?: JsDoc; readonly symbols: readonly Exported[] }>
  >;
}

async function read(): Promise<Documentation> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--json", ...Object.values(configuration().exports)],
    cwd: root,
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  assert.equal(code, 0, decoder.decode(stderr));
  return JSON.parse(decoder.decode(stdout));
}

const documentation = await read();
assert.equal(documentation.version, 2, "the layout of `deno doc --json` that this test reads");

function examplesOf(jsDoc: JsDoc | undefined): string[] {
  return (jsDoc?.tags ?? []).flatMap(({ kind, doc }) => kind === "example" ? [doc ?? ""] : []);
}

/** Every exported declaration, once, with its name. */
function* declarations(): Generator<{ readonly name: string; readonly declaration: Declaration }> {
  for (const { symbols } of Object.values(documentation.nodes)) {
    for (const { name, declarations } of symbols) {
      for (const declaration of declarations) {
        // A symbol exported twice is documented where it is exported first.
        if (declaration.declarationKind === "export" && declaration.kind !== "reference") {
          yield { name, declaration };
        }
      }
    }
  }
}

function isPublic({ accessibility = "public" }: Member): boolean {
  return accessibility === "public";
}

/** The members of an interface or class and of every object type, with their full names. */
function membersOf(
  name: string,
  { def = {} }: Declaration,
): { readonly name: string; readonly member: Member }[] {
  const listed = [...def.properties ?? [], ...def.methods ?? [], ...def.constructors ?? []];
  return [
    ...listed.filter(isPublic).map((member) => ({
      name: `${name}.${member.name ?? "constructor"}`,
      member,
    })),
    ...propertiesOf(def.tsType).map((member) => ({ name: `${name}.${member.name}`, member })),
  ];
}

function propertiesOf(type: TypeDefinition | undefined): Member[] {
  if (type === undefined) return [];
  if (type.kind === "typeLiteral") {
    const { properties = [] } = type.value as { properties?: readonly Member[] };
    return [...properties];
  }
  if (["union", "intersection"].includes(type.kind)) {
    return (type.value as readonly TypeDefinition[]).flatMap(propertiesOf);
  }
  return type.kind === "parenthesized" ? propertiesOf(type.value as TypeDefinition) : [];
}

Deno.test("every module, exported symbol and member is documented", () => {
  const silent: string[] = [];
  for (const [file, { module_doc }] of Object.entries(documentation.nodes)) {
    if (!module_doc?.doc) silent.push(file);
  }
  let count = 0;
  for (const { name, declaration } of declarations()) {
    count++;
    if (!declaration.jsDoc?.doc) silent.push(name);
    for (const { name: full, member } of membersOf(name, declaration)) {
      if (!member.jsDoc?.doc) silent.push(full);
    }
  }
  assert(count > 100);
  assert.deepEqual([...new Set(silent)], []);
});

/** Methods without options that return what their name says: an example would only repeat it. */
const plain: ReadonlySet<string> = new Set([
  "Migrator.lostDatabases",
  "Migrator.pathOf",
  "Migrator.readSchema",
  "Migrator.refuseOccupied",
  "Migrator.uncoveredFiles",
]);

Deno.test("every exported function, class and public method has an example with a title, except errors and trivial methods", () => {
  const without: string[] = [];
  const check = (name: string, jsDoc: JsDoc | undefined) => {
    const examples = examplesOf(jsDoc);
    if (examples.length === 0 && !plain.has(name)) without.push(`${name}: no example`);
    for (const example of examples) {
      if (!/^(?!```)\S[^\n]*\n+```ts/.test(example)) {
        without.push(`${name}: an example has no title`);
      }
    }
  };
  for (const { name, declaration } of declarations()) {
    const { kind, jsDoc, def } = declaration;
    // The example of CatalystError shows how to handle all errors.
    if (name.endsWith("Error") && name !== "CatalystError") continue;
    if (kind === "function" || kind === "class") check(name, jsDoc);
    if (kind !== "class") continue;
    for (const method of def?.methods ?? []) {
      if (method.kind === "method" && isPublic(method)) {
        check(`${name}.${method.name}`, method.jsDoc);
      }
    }
  }
  assert.deepEqual([...new Set(without)], []);
});

Deno.test("an example that does not run says why", () => {
  const unexplained: string[] = [];
  for (const { name, declaration } of declarations()) {
    const members = membersOf(name, declaration).map(({ member }) => member.jsDoc);
    for (const example of [declaration.jsDoc, ...members].flatMap(examplesOf)) {
      if (/```ts (no-eval|ignore)/.test(example) && !/^\/\/ Not run:/m.test(example)) {
        unexplained.push(name);
      }
    }
  }
  assert.deepEqual(unexplained, []);
});

Deno.test("the error classes that functions and methods throw are exported", () => {
  const names = new Set([...declarations()].map(({ name }) => name));
  const unknown: string[] = [];
  for (const { name, declaration } of declarations()) {
    const members = membersOf(name, declaration).map(({ member }) => member.jsDoc);
    for (const jsDoc of [declaration.jsDoc, ...members]) {
      for (
        const [, thrown = ""] of JSON.stringify(jsDoc ?? {}).matchAll(/"repr":"(\w+Error)"/g)
      ) {
        if (!names.has(thrown)) unknown.push(`${name}: ${thrown}`);
      }
    }
  }
  assert.deepEqual(unknown, []);
});

/**
 * Generates the JSON Schemas in `docs/json` from the types in `lib/commands/json_documents.ts`:
 * `deno task json-schemas`.
 */
import { fileURLToPath } from "node:url";
import { createGenerator } from "ts-json-schema-generator";

const types = fileURLToPath(new URL("../lib/commands/json_documents.ts", import.meta.url));
const directory = fileURLToPath(new URL("../docs/json/", import.meta.url));
const DRAFT = "http://json-schema.org/draft-07/schema#";

const OPTIONS = {
  strict: true,
  exactOptionalPropertyTypes: true,
  allowImportingTsExtensions: true,
  noEmit: true,
  module: "esnext",
  moduleResolution: "bundler",
  target: "esnext",
  lib: ["esnext"],
  types: [],
};

/** Descriptions of TypeScript's own `Omit`, `Pick`, `Exclude` and `Readonly`. */
const OF_TYPESCRIPT = /^(Construct a type|From T, pick|Exclude from T|Make all properties)/;

/** Leaves out descriptions that do not describe a document. */
function withoutNoise(key: string, value: unknown): unknown {
  const isNoise = key === "description" && typeof value === "string" && OF_TYPESCRIPT.test(value);
  return isNoise ? undefined : value;
}

/** The schemas of the commands' documents as texts, by file name. */
export function jsonSchemas(): Map<string, string> {
  const configuration = Deno.makeTempFileSync({ suffix: ".json" });
  try {
    Deno.writeTextFileSync(configuration, JSON.stringify({ compilerOptions: OPTIONS }));
    const generator = createGenerator({
      path: types,
      tsconfig: configuration,
      expose: "none",
      topRef: false,
      skipTypeCheck: true, // `deno check` does this
    });
    const formOf = (type: string): object => {
      const { $schema: _schema, definitions: _definitions, ...form } = generator.createSchema(type);
      return form;
    };
    const always = [formOf("Unchanged"), formOf("Failure")];
    const { properties = {} } = generator.createSchema("Documents");
    const entries = Object.entries(properties).map(([name, schema]): [string, string] => {
      const isUnion = typeof schema === "object" && schema.anyOf !== undefined;
      const documents = isUnion ? schema.anyOf ?? [] : [schema];
      const title = `catalyst-migrate ${name} --json`;
      const text = JSON.stringify(
        { $schema: DRAFT, title, anyOf: [...documents, ...always] },
        withoutNoise,
        2,
      );
      return [`${name.replaceAll(" ", "_")}.json`, `${text}\n`];
    });
    return new Map(entries);
  } finally {
    Deno.removeSync(configuration);
  }
}

if (import.meta.main) {
  const schemas = jsonSchemas();
  Deno.mkdirSync(directory, { recursive: true });
  for (const { name } of Deno.readDirSync(directory)) {
    if (name.endsWith(".json") && !schemas.has(name)) Deno.removeSync(`${directory}${name}`);
  }
  for (const [name, text] of schemas) Deno.writeTextFileSync(`${directory}${name}`, text);
}

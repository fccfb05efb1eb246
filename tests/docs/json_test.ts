import assert from "node:assert/strict";
import { jsonSchemas } from "../../.ci/json_schemas.ts";
import { commandNames } from "../../lib/commands/main.ts";
import { directory } from "../json_documents.ts";

Deno.test("docs/json is what the types of the documents say; `deno task json-schemas` renews it", () => {
  const files = [...Deno.readDirSync(directory)].map(({ name }) =>
    [name, Deno.readTextFileSync(new URL(name, directory))] as const
  );
  assert.deepEqual(new Map(files.toSorted()), new Map([...jsonSchemas()].toSorted()));
});

Deno.test("each command has a JSON Schema", () => {
  const files = [...Deno.readDirSync(directory)].map(({ name }) => name);
  const missing = commandNames.filter((name) => !files.includes(`${name}.json`));
  assert.deepEqual(missing, []);
});

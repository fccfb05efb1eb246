/** Validates the `--json` output of commands against the JSON Schemas in `docs/json`. */
import assert from "node:assert/strict";
import type { ValidateFunction } from "ajv";

/** Directory of the schemas. */
export const directory = new URL("../docs/json/", import.meta.url);

/** The forms of a command's document, such as the result and that of a dry run. */
const forms = new Map<string, Promise<readonly ValidateFunction[]>>();

const names = [...Deno.readDirSync(directory)].map(({ name }) => name.replace(".json", ""));

/** Name of the schema for a command line; null if it prints no document of a command. */
function schemaNameOf(args: readonly string[]): string | null {
  if (!args.includes("--json") || args.includes("--words")) return null;
  if (args.some((arg) => ["help", "--help", "-h"].includes(arg))) return "help";
  if (args.some((arg) => ["--version", "-V"].includes(arg))) return "version";
  const name = args.find((arg) => names.includes(arg)) ?? "upgrade";
  const form = args.find((arg) => names.includes(`${name}_${arg}`));
  return form === undefined ? name : `${name}_${form}`;
}

/**
 * Checks the document that a command line printed.
 *
 * @returns Names of the forms that it has, such as `upgrade 0`; none if it prints no document.
 */
export async function checkDocument(args: readonly string[], stdout: string): Promise<string[]> {
  const name = schemaNameOf(args);
  if (name === null || stdout === "") return [];
  const document: unknown = JSON.parse(stdout);
  const compiled = forms.get(name) ?? compile(name);
  forms.set(name, compiled);
  const validators = await compiled;
  const matching = validators.flatMap((validate, at) =>
    validate(document) ? [`${name} ${at}`] : []
  );
  const faults = validators.map(({ errors }, at) => `${at}: ${JSON.stringify(errors)}`).join("\n");
  assert(matching.length > 0, `${args.join(" ")} printed ${stdout}\n${faults}`);
  return matching;
}

async function compile(name: string): Promise<readonly ValidateFunction[]> {
  const { Ajv } = await import("ajv");
  const ajv = new Ajv({ allowUnionTypes: true });
  const { anyOf } = JSON.parse(await Deno.readTextFile(new URL(`${name}.json`, directory)));
  return anyOf.map((form: object) => ajv.compile(form));
}

import assert from "node:assert/strict";
import { commandNames } from "../../lib/commands/main.ts";
import { published } from "../package/way.ts";
import { testScenarios } from "./scenario.ts";
import { allScenarios } from "./scenarios/mod.ts";
import { checkout, executable } from "./way.ts";

testScenarios(allScenarios, [await executable(), checkout(), await published()]);

Deno.test("every command has a scenario", () => {
  const tried = new Set(allScenarios.flatMap(({ commands }) => commands));
  assert.deepEqual(commandNames.filter((name) => !tried.has(name)), []);
});

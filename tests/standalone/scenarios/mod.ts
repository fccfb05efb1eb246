import type { Scenario } from "../scenario.ts";
import { commandScenarios } from "./commands.ts";
import { migrationScenarios } from "./own_migrations.ts";
import { placeScenarios } from "./places.ts";
import { streamScenarios } from "./streams.ts";

/** All scenarios. */
export const allScenarios: readonly Scenario[] = [
  ...commandScenarios,
  ...migrationScenarios,
  ...placeScenarios,
  ...streamScenarios,
];

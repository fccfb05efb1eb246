/** Scenarios: what a new user does, and the expected result for every way of running the toolkit. */
import assert from "node:assert/strict";
import { Place } from "./place.ts";
import type { WayIn } from "./way.ts";

/** One scenario. */
export interface Scenario {
  /** Its name, as a sentence. */
  readonly name: string;
  /** Commands that it tests. */
  readonly commands: readonly string[];
  /** Name of its working directory. Default `home`. */
  readonly directory?: string;
  /** Why it cannot run here; `null` if it can. Default: it can. */
  readonly reason?: (way: WayIn) => string | null;
  /** Runs it in an empty directory. */
  readonly run: (place: Place) => Promise<void>;
}

/** Creates a test of each scenario for each way; all ways must produce the same output. */
export function testScenarios(scenarios: readonly Scenario[], ways: readonly WayIn[]): void {
  for (const scenario of scenarios) {
    let first: { readonly name: string; readonly transcript: readonly string[] } | null = null;
    for (const way of ways) {
      const reason = way.reason ?? scenario.reason?.(way) ?? null;
      Deno.test({
        name: `${way.name}: ${scenario.name}${reason === null ? "" : ` (skipped: ${reason})`}`,
        ignore: reason !== null,
        async fn() {
          const { directory } = scenario;
          using place = new Place(way, directory === undefined ? {} : { name: directory });
          await scenario.run(place);
          const { transcript } = place;
          if (first === null) first = { name: way.name, transcript };
          else assert.deepEqual(transcript, first.transcript, `not as ${first.name} says it`);
        },
      });
    }
  }
}

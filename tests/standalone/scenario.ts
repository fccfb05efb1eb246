/** Scenarios: what a stranger does, and what has to come of it, whichever way in is taken. */
import assert from "node:assert/strict";
import { Place } from "./place.ts";
import type { WayIn } from "./way.ts";

/** One thing that a stranger does. */
export interface Scenario {
  /** What is the case, as a sentence. */
  readonly name: string;
  /** Commands that it tries. */
  readonly commands: readonly string[];
  /** Name of the directory that it happens in. Default `home`. */
  readonly directory?: string;
  /** Why it can't be tried here; `null` where it can. Default: it can. */
  readonly reason?: (way: WayIn) => string | null;
  /** Does it, in an empty directory. */
  readonly run: (place: Place) => Promise<void>;
}

/** Makes a test of each scenario for each way in; the ways have to say the same. */
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

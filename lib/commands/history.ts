import { type Command, type CommandContext, stringFlag, wholeNumber } from "./arguments.ts";
import { renderEvents } from "./render.ts";
import type { Documents } from "./documents.ts";

/** `history`: what was done when. */
export const command: Command = {
  name: "history",
  summary: "show what was done when, newest first",
  flags: {
    "limit": { type: "string", value: "N", help: "how many events at most (default: 20)" },
  },
  withoutMigrations: true,
  examples: [["history --limit 5", "the last five events"]],
  run: async ({ flags, migrator, output }: CommandContext) => {
    const limit = wholeNumber(stringFlag(flags, "limit") ?? "20", "limit", 1);
    const events = await migrator.history({ limit });
    output.json({ ok: true, events } satisfies Documents["history"]);
    output.answer(
      events.length === 0 ? "No events: nothing has been migrated here." : renderEvents(events),
    );
    return 0;
  },
};

import { unknownDatabase } from "../state/workspace.ts";
import { numberFlag, stringFlags } from "./flags.ts";
import type { Command, CommandContext } from "./command.ts";
import type { HistoryOptions } from "../migrator.ts";
import { renderEvents } from "./render.ts";
import type { Documents } from "./json_documents.ts";

/** `history`: what was done when. */
export const command: Command = {
  name: "history",
  summary: "show what was done when, newest first",
  flags: {
    "migration": { value: "ID", help: "show only events of this migration" },
    "database": { value: "DATABASE", help: "show only events of this database" },
    "limit": { value: "N", help: "show at most N events (default: 20)" },
  },
  withoutMigrations: true,
  examples: [
    ["history --limit 5", "show the last five events"],
    ["history --migration 004", "show what happened to one migration"],
    ["history --database trading", "show what happened to one database"],
  ],
  run: async ({ flags, migrator, output }: CommandContext) => {
    const limit = numberFlag(flags, "limit", 1) ?? 20;
    const filter = stringFlags(flags, "migration", "database");
    const { database } = filter;
    const events = await migrator.history({ limit, ...filter });
    // A database that is no longer configured may still have a history.
    if (events.length === 0 && database !== undefined && !migrator.databases.includes(database)) {
      throw unknownDatabase(database, { verb: "show the history of", names: migrator.databases });
    }
    output.json({ ok: true, events } satisfies Documents["history"]);
    output.answer(events.length > 0 ? renderEvents(events) : nothing(filter));
    return 0;
  },
};

function nothing({ migration, database }: HistoryOptions): string {
  const of = [
    ...migration === undefined ? [] : [`migration ${migration}`],
    ...database === undefined ? [] : [`database ${database}`],
  ];
  return of.length === 0
    ? "No events: nothing has been migrated here."
    : `No events of ${of.join(" in ")}.`;
}

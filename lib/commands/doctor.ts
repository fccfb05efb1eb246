import { bundledMigrations } from "../../migrations/mod.ts";
import { serializeError } from "../base/errors.ts";
import { settingsFrom, type SettingVariable, settingVariables } from "../database/connection.ts";
import type { Check, DoctorRequest } from "../doctor/facts.ts";
import { printable, type Style, wrapText } from "../terminal/text.ts";
import { formatCount } from "../base/format.ts";
import type {
  Environment,
  FlagValues,
  SelfContainedCommand,
  SelfContainedContext,
} from "./command.ts";
import type { Documents } from "./json_documents.ts";
import { ledgerOf } from "../state/workspace.ts";
import {
  databasesAt,
  giveUpNetwork,
  ownMigrations,
  resolveOptions,
  variables,
} from "./resolve_options.ts";

/** `doctor`: diagnoses the installation. */
export const command: SelfContainedCommand = {
  name: "doctor",
  summary: "diagnose the installation and say what to do; changes nothing",
  flags: {},
  examples: [
    ["doctor", "check everything"],
    ["doctor --quiet", "show only problems and notices"],
    ["doctor --json", "print the diagnosis for a program"],
  ],
  runAlone: async ({ flags, environment, output }: SelfContainedContext) => {
    const request = await requestFrom(flags, environment);
    giveUpNetwork([...Object.values(request.databases), request.ledger]);
    const [{ gather }, { diagnose, UNCOVERED }] = await Promise.all([
      import("../doctor/gather.ts"),
      import("../doctor/diagnose.ts"),
    ]);
    const all = diagnose(await gather(request));
    const checks = output.isQuiet ? all.filter(({ code }) => code !== UNCOVERED) : all;
    const shown = flags.quiet === true ? checks.filter(({ level }) => level !== "ok") : checks;
    const { problems, notices } = countsOf(checks);
    output.json(
      { ok: problems === 0, problems, notices, checks: shown } satisfies Documents["doctor"],
    );
    if (shown.length > 0) output.answer(renderChecks(checks, shown, output.answerStyle));
    return problems === 0 ? 0 : 1;
  },
};

/** Reads flags and variables; an invalid or unreadable variable becomes part of the diagnosis. */
async function requestFrom(flags: FlagValues, environment: Environment): Promise<DoctorRequest> {
  const readable = variables.filter((variable) =>
    Deno.permissions.querySync({ name: "env", variable }).state === "granted"
  );
  const values = new Map(readable.map((name) => [name, environment(name)]));
  const wrongVariables = settingVariables.flatMap((name) => {
    try {
      settingsFrom((one) => one === name ? values.get(name) : undefined);
      return [];
    } catch (error) {
      values.delete(name);
      return [serializeError(error)];
    }
  });
  // An invalid flag or configuration is a usage error; an invalid variable is part of the diagnosis.
  const options = await resolveOptions(
    flags,
    (name) => name === "CATALYST_CONFIG" ? values.get(name) : undefined,
  );
  const { configuration, timeout } = options;
  const variable = values.get("DB_PATH_PREFIX") || undefined;
  const isNamed = flags["data-dir"] !== undefined;
  const isIsolated = !isNamed && variable !== undefined;
  const prefix = isIsolated ? variable : options.prefix;
  return {
    prefix,
    prefixFrom: isNamed ? "flag" : variable === undefined ? "default" : "variable",
    variable,
    settings: {
      ...settingsFrom((name: SettingVariable) => values.get(name)),
      busyTimeout: timeout,
    },
    wrongVariables,
    hiddenVariables: variables.filter((name) => !readable.includes(name)),
    migrationsDir: ownMigrations(flags, configuration),
    databases: await databasesAt({ prefix, isIsolated }, configuration),
    ledger: options.ledger ?? ledgerOf(prefix),
    backupDir: options.backupDir,
    hasConfiguration: configuration !== null,
    bundled: options.bundled ? bundledMigrations : [],
  };
}

function countsOf(checks: readonly Check[]): {
  readonly problems: number;
  readonly notices: number;
} {
  const count = (level: Check["level"]) => checks.filter((check) => check.level === level).length;
  return { problems: count("problem"), notices: count("notice") };
}

const WIDTH = 80;

/** The checks as text, by group, each with its level; problems are in the order in which to fix them. */
function renderChecks(
  all: readonly Check[],
  shown: readonly Check[],
  style: Style,
): string {
  const lines: string[] = [];
  let group = "";
  for (const check of shown) {
    if (check.group !== group) {
      if (group !== "") lines.push("");
      group = check.group;
      lines.push(style.bold(group.charAt(0).toUpperCase() + group.slice(1)));
    }
    lines.push(...renderCheck(check, style));
  }
  const { problems, notices } = countsOf(all);
  const counts = `${formatCount(problems, "problem")}, ${formatCount(notices, "notice")}.`;
  return [...lines, "", problems === 0 && notices === 0 ? "Nothing is wrong." : counts].join("\n");
}

function renderCheck({ level, code, detail, help }: Check, style: Style): string[] {
  const paint = { ok: style.green, notice: style.yellow, problem: style.red }[level];
  const words = level === "ok" ? detail : `${detail} [${code}]`;
  const indent = " ".repeat(11);
  const [first = "", ...rest] = wrapText(printable(words), WIDTH - indent.length);
  return [
    `  ${paint(level)}${" ".repeat(9 - level.length)}${first}`,
    ...rest.map((line) => indent + line),
    ...help === null ? [] : helpLines(help, indent),
  ];
}

function helpLines(help: string, indent: string): string[] {
  const label = "help: ";
  const below = " ".repeat(label.length);
  const lines = help.split("\n").flatMap((line) =>
    wrapText(printable(line), WIDTH - indent.length - label.length)
  );
  return lines.map((line, index) => `${indent}${index === 0 ? label : below}${line}`);
}

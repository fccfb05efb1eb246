import { sqliteVersion } from "../database/open.ts";
import { checksumOf, type Migration } from "../migration/migration.ts";
import type { Output } from "../terminal/output.ts";
import { renderTable } from "../base/format.ts";
import { version } from "../base/version.ts";
import type { Documents, VersionReport } from "./documents.ts";

/** `--version`: says what this program is made of. */
export async function printVersion(
  output: Output,
  migrations: readonly Migration[],
): Promise<void> {
  const report = await versionReport(migrations);
  output.json({ ok: true, ...report } satisfies Documents["version"]);
  output.answer(renderVersion(report));
}

/** Finds out what this program is made of. */
export async function versionReport(migrations: readonly Migration[]): Promise<VersionReport> {
  const bundled = await Promise.all(
    migrations.map(async ({ name, upgrade }) => ({ name, checksum: await checksumOf(upgrade) })),
  );
  const lines = bundled.map(({ name, checksum }) => `${name} ${checksum ?? "-"}\n`).join("");
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(lines));
  return {
    version,
    deno: Deno.version.deno,
    sqlite: sqliteVersion(),
    standalone: Deno.build.standalone,
    target: Deno.build.target,
    migrations: {
      count: bundled.length,
      sha256: new Uint8Array(digest).toHex(),
      bundled,
    },
  };
}

function renderVersion(report: VersionReport): string {
  const { deno, sqlite, standalone, target, migrations } = report;
  return [
    `catalyst-migrate ${report.version}`,
    renderTable([
      ["deno", deno],
      ["sqlite", sqlite],
      ["migrations", `${migrations.count}, sha256 ${migrations.sha256.slice(0, 12)}`],
      ["program", `${standalone ? "standalone executable" : "run by deno"}, ${target}`],
    ]),
  ].join("\n");
}

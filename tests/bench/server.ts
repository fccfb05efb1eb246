/**
 * Measures databases on a real libSQL server on the loopback interface, for `docs/on-a-server.md`:
 * `deno run -A tests/bench/server.ts`. Each number is the best of several runs.
 */
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { createCatalystMigrator, Migrator } from "../../mod.ts";
import { catalystDatabases } from "../../lib/catalyst.ts";
import { openLibsql } from "../../lib/database/libsql.ts";
import { parseLibsqlAddress } from "../../lib/database/location.ts";
import { push } from "../../lib/database/libsql_push.ts";
import { withTransaction } from "../../lib/database/transaction.ts";
import { TestServer } from "../libsql_server.ts";

const RUNS = 5;
const ROWS = 300_000;

async function best(runs: number, measure: (run: number) => Promise<number>): Promise<number> {
  const all = [];
  for (let run = 0; run < runs; run++) all.push(await measure(run));
  return Math.min(...all);
}

/** Duration of work in milliseconds. */
async function time(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** What something takes: time on the clock, and CPU time of both ends, in seconds. */
interface Effort {
  readonly seconds: number;
  readonly client: number;
  readonly server: number;
}

async function effort(work: () => Promise<unknown>): Promise<Effort> {
  const cpu = process.cpuUsage();
  const before = server.cpuSeconds();
  const seconds = await time(work) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { seconds, client: (user + system) / 1e6, server: server.cpuSeconds() - before };
}

/** The smallest of each number. */
async function bestOf(runs: number, measure: (run: number) => Promise<Effort>): Promise<Effort> {
  const all: Effort[] = [];
  for (let run = 0; run < runs; run++) all.push(await measure(run));
  return {
    seconds: Math.min(...all.map(({ seconds }) => seconds)),
    client: Math.min(...all.map(({ client }) => client)),
    server: Math.min(...all.map(({ server }) => server)),
  };
}

function describe({ seconds, client, server }: Effort): string {
  return `${seconds.toFixed(1)} s, ${Math.round(ROWS / seconds / 1000)},000 rows/s; CPU ` +
    `${client.toFixed(1)} s in the client, ${server.toFixed(1)} s in the server`;
}

function open(address: string) {
  return openLibsql({ address: parseLibsqlAddress(address), tokenVariables: [] }, { timeout: 60 });
}

function say(what: string, value: string): void {
  // deno-lint-ignore no-console -- the output of this program
  console.log(`${what.padEnd(48)} ${value}`);
}

const dir = await Deno.makeTempDir();
await using server = await TestServer.start();
await using replica = await TestServer.start({
  args: ["--primary-grpc-url", `http://127.0.0.1:${server.grpc}`],
});

const migratorOf = (run: number) =>
  createCatalystMigrator({
    dataDir: `${dir}/${run}`,
    databases: Object.fromEntries(
      catalystDatabases.map((name) => [name, server.address(`${name}${run}`)]),
    ),
  });
for (let run = 0; run < RUNS; run++) {
  await server.create(...catalystDatabases.map((name) => `${name}${run}`));
}
const totals: number[] = [];
const created = await best(RUNS, async (run) => {
  const start = performance.now();
  const { applied } = await migratorOf(run).upgrade();
  totals.push(performance.now() - start);
  return applied.reduce((sum, { durationSeconds }) => sum + durationSeconds * 1000, 0);
});
say("`upgrade` that creates three schemas", `${Math.min(...totals).toFixed(0)} ms`);
say("three schemas created, in their transactions", `${created.toFixed(0)} ms`);
say(
  "`upgrade` with nothing to do",
  `${(await best(RUNS, (run) => time(() => migratorOf(run).upgrade()))).toFixed(0)} ms`,
);
say(
  "`status`",
  `${(await best(RUNS, (run) => time(() => migratorOf(run).status()))).toFixed(0)} ms`,
);
const held = await best(
  RUNS,
  async (run) => (await migratorOf(run).createSnapshot()).heldSeconds * 1000,
);
say("writers held for a snapshot of three namespaces", `${held.toFixed(0)} ms`);

const path = `${dir}/rows.db`;
{
  using db = new DatabaseSync(path);
  db.exec(
    `CREATE TABLE prices (id INTEGER PRIMARY KEY, symbol TEXT, price REAL, volume REAL, day TEXT);
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${ROWS})
    INSERT INTO prices SELECT i, 'symbol' || (i % 50), i * 1.37, i / 3.0, '2026-01-01' FROM n`,
  );
}
const written = await bestOf(3, async (run) => {
  await server.create(`rows${run}`);
  await using connection = await open(server.address(`rows${run}`));
  return await effort(() =>
    withTransaction(connection, () => push(path, connection), { timeout: 5 })
  );
});
say(`${ROWS} rows written to a server`, describe(written));
const read = await bestOf(3, async (run) => {
  await using connection = await open(server.address("rows0"));
  return await effort(() => connection.copyTo(`${dir}/back${run}.db`));
});
say(`${ROWS} rows read from a server`, describe(read));
await server.create("whole0", "whole1", "whole2");
const local = new Migrator({
  databases: { app: path },
  ledger: `${dir}/migrations.db`,
  migrations: [],
});
const whole = await bestOf(
  3,
  (run) => effort(() => local.copyDatabase("app", server.address(`whole${run}`))),
);
say(`\`copy\` of ${ROWS} rows, with the comparison`, describe(whole));

await using primary = await open(server.address("rows0"));
await using reader = await open(replica.address("rows0"));
await reader.get("SELECT count(*) FROM prices");
const lag = await best(RUNS, async (run) => {
  await primary.run("UPDATE prices SET symbol = ? WHERE id = 1", [`run ${run}`]);
  return await time(async () => {
    while (
      (await reader.get("SELECT symbol FROM prices WHERE id = 1"))?.["symbol"] !== `run ${run}`
    );
  });
});
say("lag of a replica", `${lag.toFixed(0)} ms`);
say(
  "round trip",
  `${
    (await best(RUNS, () =>
      time(async () => {
        for (let n = 0; n < 200; n++) await primary.get("SELECT 1");
      })) / 200).toFixed(2)
  } ms`,
);
await Deno.remove(dir, { recursive: true });

import assert from "node:assert/strict";
import process from "node:process";
import { StatementError } from "../../../lib/base/errors.ts";
import { callFunction } from "../../../lib/migration/function_call.ts";
import type { MigrationTransaction } from "../../../lib/migration/migration.ts";

/** A transaction that records its statements. */
function recording(): { readonly ran: string[]; readonly transaction: MigrationTransaction } {
  const ran: string[] = [];
  const note = (sql: string) => {
    if (sql.includes("wrong")) {
      return Promise.reject(new StatementError("Cannot use app.db: it is wrong"));
    }
    ran.push(sql);
    return Promise.resolve();
  };
  return {
    ran,
    transaction: {
      database: "app",
      exec: note,
      run: async (sql) => {
        await note(sql);
        return { changes: 1 };
      },
      all: async (sql) => {
        await note(sql);
        return [];
      },
    },
  };
}

const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

for (
  const [name, wait] of Object.entries({
    "another statement": (tx: MigrationTransaction) => tx.all("SELECT 1"),
    "a timer of 0 ms": () => sleep(0),
    "a timer of 200 ms": () => sleep(200),
    "two timers": async () => {
      await sleep(30);
      await sleep(60);
    },
  })
) {
  Deno.test(`a statement after ${name} that the function did not await fails the migration`, async () => {
    const { transaction } = recording();
    await assert.rejects(
      callFunction(
        (tx) => {
          [1, 2, 3].forEach(async (number) => {
            await wait(tx);
            await tx.run(`UPDATE t SET a = ${number}`);
          });
        },
        transaction,
        {},
      ),
      (error) => error instanceof StatementError && /after it had returned/.test(error.message),
    );
  });
}

Deno.test("a rejected promise that the function does not await fails the migration", async () => {
  const { transaction } = recording();
  await assert.rejects(
    callFunction(
      () => void [1].forEach(() => Promise.reject(new TypeError("odd"))),
      transaction,
      {},
    ),
    /a promise that its function does not await was rejected: odd/,
  );
  await assert.rejects(
    callFunction((tx) => void tx.run("wrong"), transaction, {}),
    /it is wrong/,
  );
  await assert.rejects(
    callFunction((tx) => void [1].forEach(async () => void await tx.run("wrong")), transaction, {}),
    /it is wrong/,
  );
});

Deno.test("awaited promises and handled errors are accepted", async () => {
  const { ran, transaction } = recording();
  await callFunction(
    async (tx) => {
      await Promise.all([1, 2].map(async (number) => {
        await sleep(20);
        await tx.run(`a ${number}`);
      }));
      await tx.run("wrong").catch(() => {});
      clearTimeout(setTimeout(() => {}, 100_000));
      tx.exec("last");
    },
    transaction,
    {},
  );
  assert.deepEqual(ran, ["a 1", "a 2", "last"]);
});

const ofProcess: Readonly<Record<string, () => void>> = {
  "Deno.exit()": () => Deno.exit(0),
  "Deno.chdir()": () => Deno.chdir("/"),
  "process.chdir()": () => process.chdir("/"),
  "close()": () => globalThis.close(),
};
for (const [call, make] of Object.entries(ofProcess)) {
  Deno.test(`a function that calls ${call} fails, even if it catches the error`, async () => {
    const directory = Deno.cwd();
    const expected = new RegExp(`its function called ${RegExp.escape(call)}`);
    for (
      const body of [make, () => sleep(0).then(make), () => sleep(0).then(make).catch(() => {})]
    ) {
      const { transaction } = recording();
      await assert.rejects(callFunction(body, transaction, {}), expected);
    }
    assert.equal(Deno.cwd(), directory);
  });
}

Deno.test("a function that calls process.exit() fails", async () => {
  const { transaction } = recording();
  await assert.rejects(callFunction(() => process.exit(0), transaction, {}), /Deno\.exit\(\)/);
});

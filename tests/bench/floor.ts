/** The floor: a script that only opens the four databases of a directory. */
import { DatabaseSync } from "node:sqlite";

const directory = Deno.args[0];
const databases = ["positions", "trading", "ml_training", "migrations"].map((name) =>
  new DatabaseSync(`${directory}/${name}.db`)
);
for (const database of databases) database.close();

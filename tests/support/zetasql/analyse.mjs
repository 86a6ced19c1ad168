// Analyses SQL for Snowflake. Each line of standard input is a statement with the tables that it may name,
// {"sql": ..., "catalog": ...}; its answer is a line, {"columns": [[name, kind of type], ...]} or {"error": ...}.
// Ends when standard input does.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { dirname } from "node:path";
import { createInterface } from "node:readline";

const require = createRequire(import.meta.url);
const PACKAGE = "@fivetrandevelopers/zetasql-snowflake";
const { status } = require("@grpc/grpc-js");
const { LanguageOptions, ZetaSQLClient } = require(PACKAGE);

// The package's own `runServer` would write what the server prints among the answers.
function startServer(port) {
  const suffix = (process.arch === "arm64" ? "_arm" : "") + (process.platform === "darwin" ? "" : ".so");
  const program = `${dirname(require.resolve(PACKAGE))}/snowflake/remote_server${suffix}`;
  return spawn(program, ["localhost", String(port)], { stdio: ["ignore", "ignore", "inherit"] });
}

async function freePort() {
  const server = createServer().listen(0, "localhost");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  return port;
}

// The columns of a query; a change of rows has none.
function columns({ resolvedStatement }) {
  const query = Object.values(resolvedStatement).find((node) => node?.outputColumnList);
  return (query?.outputColumnList ?? []).map(({ name, column }) => [name, column.type.typeKind]);
}

function refusal(error) {
  if (error.code === status.UNAVAILABLE) throw error; // the server has crashed, over a catalogue that it cannot read
  return { error: error.details };
}

const port = await freePort();
const server = startServer(port);
ZetaSQLClient.init(port);
const client = ZetaSQLClient.getInstance();
if (!(await client.testConnection())) throw new Error("The analyser does not start.");
const languageOptions = (await new LanguageOptions().enableMaximumLanguageFeatures()).serialize();
for await (const line of createInterface({ input: process.stdin })) {
  const { sql, catalog } = JSON.parse(line);
  const simpleCatalog = { ...catalog, builtinFunctionOptions: { languageOptions } };
  const answer = await client
    .analyze({ sqlStatement: sql, simpleCatalog, options: { languageOptions } })
    .then((analysis) => ({ columns: columns(analysis) }), refusal);
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
server.kill();
client.constructor.API.close();

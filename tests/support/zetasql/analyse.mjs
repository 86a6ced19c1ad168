// Analyses SQL for Snowflake. Each line of standard input is a statement, with the tables and functions that it may name
// and whether its columns are asked for: {"sql": ..., "catalog": ..., "wanted": ...}. Its answer is a line:
// {"columns": [[name, kind of type], ...]}, {} or {"error": ...}. Ends when standard input does.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { dirname } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

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

// The answer is read only for its columns, because it has the whole statement, and reading takes longer than analysing.
function analyze(client, request) {
  const { path, requestSerialize } = client.constructor.service.Analyze;
  return promisify(client.makeUnaryRequest).call(client, path, requestSerialize, (bytes) => bytes, request);
}

function columns(client, bytes) {
  const { resolvedStatement } = client.constructor.service.Analyze.responseDeserialize(bytes);
  const { outputColumnList } = Object.values(resolvedStatement).find((node) => node?.outputColumnList);
  return outputColumnList.map(({ name, column }) => [name, column.type.typeKind]);
}

function refusal(error) {
  if (error.code === status.UNAVAILABLE) throw error; // the server has crashed, over a catalogue that it cannot read
  return { error: error.details };
}

const port = await freePort();
const server = startServer(port);
ZetaSQLClient.init(port);
if (!(await ZetaSQLClient.getInstance().testConnection())) throw new Error("The analyser does not start.");
const api = ZetaSQLClient.API;
const languageOptions = (await new LanguageOptions().enableMaximumLanguageFeatures()).serialize();
for await (const line of createInterface({ input: process.stdin })) {
  const { sql, catalog, wanted } = JSON.parse(line);
  const simpleCatalog = { ...catalog, builtinFunctionOptions: { languageOptions } };
  const answer = await analyze(api, { sqlStatement: sql, simpleCatalog, options: { languageOptions } }).then(
    (bytes) => (wanted ? { columns: columns(api, bytes) } : {}),
    refusal,
  );
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
server.kill();
api.close();

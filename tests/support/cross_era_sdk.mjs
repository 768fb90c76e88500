// Does with a server of ours what the official TypeScript clients offer, and prints what was found as JSON.
//
//     node cross_era_sdk.mjs NODE_MODULES sdk|client-legacy|client-auto URL
//
// `sdk` is the first generation, @modelcontextprotocol/sdk, the others are the second, @modelcontextprotocol/client, in
// the handshake era and in the one that it finds. What is printed has the same form as that of `cross_era_sdk.py`.

import { createRequire } from "node:module";

const [modules, kind, url] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const COUNTER = "fixture://counter";
const WAIT = 15_000;

const ANSWERS = {
  "elicitation/create": { action: "accept", content: { name: "Ada" } },
  "sampling/createMessage": { role: "assistant", content: { type: "text", text: "hi" }, model: "m" },
  "roots/list": { roots: [{ uri: "file:///home/ada", name: "home" }] },
};
const CAPABILITIES = { sampling: {}, roots: {}, elicitation: { form: {}, url: {} } };
const NAME = { name: "cross-era", version: "1" };

function firstGeneration() {
  const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
  const { StreamableHTTPClientTransport } = require("@modelcontextprotocol/sdk/client/streamableHttp.js");
  const types = require("@modelcontextprotocol/sdk/types.js");
  const client = new Client(NAME, { capabilities: CAPABILITIES });
  const asked = {
    "elicitation/create": types.ElicitRequestSchema,
    "sampling/createMessage": types.CreateMessageRequestSchema,
    "roots/list": types.ListRootsRequestSchema,
  };
  const told = {
    "notifications/message": types.LoggingMessageNotificationSchema,
    "notifications/resources/updated": types.ResourceUpdatedNotificationSchema,
    "notifications/tools/list_changed": types.ToolListChangedNotificationSchema,
  };
  return {
    client,
    transport: new StreamableHTTPClientTransport(new URL(url)),
    answer: (method, handler) => client.setRequestHandler(asked[method], handler),
    hear: (method, handler) => client.setNotificationHandler(told[method], handler),
    callTool: (params, options) => client.callTool(params, undefined, options),
  };
}

function secondGeneration(mode) {
  const { Client, StreamableHTTPClientTransport } = require("@modelcontextprotocol/client");
  const client = new Client(NAME, { capabilities: CAPABILITIES, versionNegotiation: { mode } });
  return {
    client,
    transport: new StreamableHTTPClientTransport(new URL(url)),
    answer: (method, handler) => client.setRequestHandler(method, handler),
    hear: (method, handler) => client.setNotificationHandler(method, handler),
    callTool: (params, options) => client.callTool(params, options),
  };
}

const { client, transport, answer, hear, callTool } =
  kind === "sdk" ? firstGeneration() : secondGeneration(kind === "client-auto" ? "auto" : "legacy");

const heard = { "notifications/message": [], "notifications/resources/updated": [], "notifications/tools/list_changed": [] };
for (const [method, result] of Object.entries(ANSWERS)) answer(method, () => result);
for (const [method, messages] of Object.entries(heard)) hear(method, (message) => void messages.push(message.params ?? {}));

const call = (name, args = {}, options = {}, meta = undefined) =>
  callTool({ name, arguments: args, ...(meta && { _meta: meta }) }, options);
const text = async (name, args, options, meta) => (await call(name, args, options, meta)).content[0].text;

async function eventually(what, condition) {
  const end = Date.now() + WAIT;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`no ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function all(method, key) {
  const entries = [];
  let cursor;
  do {
    const page = await client[method]({ cursor });
    entries.push(...page[key]);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return entries;
}

async function cancelled() {
  const ran = async () => (await call("ran")).structuredContent;
  const before = await ran();
  const stop = new AbortController();
  const running = call("slow", { seconds: 300 }, { signal: stop.signal }).then(
    () => false,
    () => true,
  );
  await eventually("start", async () => (await ran()).started > before.started);
  stop.abort();
  await eventually("cancellation", async () => (await ran()).cancelled > before.cancelled);
  return running;
}

async function follow(modern) {
  if (!modern) {
    await client.subscribeResource({ uri: COUNTER });
    return () => client.unsubscribeResource({ uri: COUNTER });
  }
  const subscription = await client.listen({ toolsListChanged: true, resourceSubscriptions: [COUNTER] });
  return () => subscription.close();
}

async function failure() {
  try {
    await call("raise", { code: -31000, message: "raised" });
  } catch (error) {
    return [error.code, error.message.replace(/^MCP error -31000: /, "")];
  }
}

await client.connect(transport);
const modern = kind === "client-auto";
const found = {};

found.list = {
  fillers: (await all("listTools", "tools")).filter((tool) => tool.name.startsWith("filler_")).length,
  resources: (await all("listResources", "resources")).map((resource) => resource.uri).sort(),
  templates: (await all("listResourceTemplates", "resourceTemplates")).map((template) => template.uriTemplate),
  prompts: (await all("listPrompts", "prompts")).map((prompt) => prompt.name).sort(),
};
found.call = [
  await text("echo", { text: "häl\nlo" }),
  (await client.readResource({ uri: "fixture://items/beta" })).contents[0].text,
  (await client.getPrompt({ name: "greet", arguments: { name: "Ada" } })).messages[0].content.text,
];
const steps = [];
await call("progress", { steps: 3 }, { onprogress: (progress) => void steps.push(progress.progress) });
found.progress = steps;
found.cancel = await cancelled();
if (!modern) await client.setLoggingLevel("warning");
for (const level of ["info", "error"])
  await call("log", { level, text: level }, {}, modern ? { "io.modelcontextprotocol/logLevel": "warning" } : undefined);
await eventually("log message", () => heard["notifications/message"].length > 0);
found.log = heard["notifications/message"].map((params) => params.data.text);
for (const [item, tool] of Object.entries({ elicit: "ask_form", sample: "ask_sample", roots: "ask_roots" }))
  found[item] = JSON.parse(await text(tool)).asked;
found["elicit by URL"] = JSON.parse(await text("ask_url")).asked.action;
const unfollow = await follow(modern);
await call("touch");
await call("change_tools");
await eventually("update", () => heard["notifications/resources/updated"].length > 0);
await eventually("list_changed", () => heard["notifications/tools/list_changed"].length > 0);
await unfollow();
found.subscribe = heard["notifications/resources/updated"][0].uri;
found.list_changed = true;
found.completion = (
  await client.complete({ ref: { type: "ref/prompt", name: "greet" }, argument: { name: "style", value: "f" } })
).completion.values;
found.error = await failure();

process.stdout.write(JSON.stringify(found));
await client.close();
process.exit(0);

// Talks with `p/m` as a page in a browser does: with a native WebSocket, which can send no header, so that the key goes
// as a subprotocol. Prints what came as JSON. Variables: STEAD_HTTPS, the address without a path; STEAD_KEY, an API key.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import path from "node:path";

const require = createRequire(path.join(process.env.NODE_PATH, "x.js"));
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
const { default: OpenAI } = await load("openai");
const { OpenAIRealtimeWebSocket } = await load("openai/realtime/websocket");

// Node has it of its own from version 22 on.
globalThis.WebSocket ??= (await load("ws")).default;

const client = new OpenAI({ baseURL: `${process.env.STEAD_HTTPS}/v1`, apiKey: process.env.STEAD_KEY });
const connection = new OpenAIRealtimeWebSocket({ model: "p/m" }, client);
const types = [];
let text = "";
connection.on("event", (event) => types.push(event.type));
connection.on("error", (error) => {
  console.error(error);
  process.exit(1);
});
connection.on("session.created", () => connection.send({ type: "response.create" }));
connection.on("response.output_text.delta", (event) => (text += event.delta));
connection.on("response.done", (event) => {
  const usage = [event.response.usage.input_tokens, event.response.usage.output_tokens];
  console.log(JSON.stringify({ how: "browser", types, text, usage }));
  connection.close();
});

// Asks `p/m` through every SDK in its own dialect, whole, streamed and with a tool, and prints what came as JSON: see
// dialects.py for the variables and for what the provider behind `p/m` answers.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import path from "node:path";

const modules = process.env.NODE_PATH;
const load = (name) => {
  // Modules of other folders are found as they are for require, and loaded as what they are.
  const require = createRequire(path.join(modules, "x.js"));
  return import(pathToFileURL(require.resolve(name)).href);
};
const { default: OpenAI } = await load("openai");
const { default: Anthropic } = await load("@anthropic-ai/sdk");
const { GoogleGenAI } = await load("@google/genai");
const { Ollama } = await load("ollama");
const { generateText, streamText, tool, jsonSchema } = await load("ai");
const { createOpenAI } = await load("@ai-sdk/openai");
const { createAnthropic } = await load("@ai-sdk/anthropic");

const url = process.env.STEAD_URL;
const key = process.env.STEAD_KEY;
const model = "p/m";
const question = "What is the capital of France?";
const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const description = "Tells the weather.";

async function openai() {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
  const messages = [{ role: "user", content: question }];
  const whole = await client.chat.completions.create({ model, messages });
  let streamed = "";
  for await (const chunk of await client.chat.completions.create({ model, messages, stream: true }))
    for (const choice of chunk.choices) streamed += choice.delta.content ?? "";
  const tools = [{ type: "function", function: { name: "weather", description, parameters: schema } }];
  const message = (await client.chat.completions.create({ model, messages, tools })).choices[0].message;
  const call = message.tool_calls[0];
  let pieces = "";
  for await (const chunk of await client.chat.completions.create({ model, messages, tools, stream: true }))
    for (const choice of chunk.choices)
      for (const piece of choice.delta.tool_calls ?? []) pieces += piece.function.arguments ?? "";
  const result = { role: "tool", tool_call_id: call.id, content: "sunny" };
  const after = await client.chat.completions.create({ model, messages: [...messages, message, result], tools });
  return {
    whole: whole.choices[0].message.content,
    usage: [whole.usage.prompt_tokens, whole.usage.completion_tokens],
    streamed,
    tool: [call.function.name, JSON.parse(call.function.arguments)],
    streamedTool: JSON.parse(pieces),
    afterTool: after.choices[0].message.content,
  };
}

async function anthropic() {
  const client = new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0 });
  const messages = [{ role: "user", content: question }];
  const whole = await client.messages.create({ model, max_tokens: 50, messages });
  let streamed = "";
  for await (const event of client.messages.stream({ model, max_tokens: 50, messages }))
    if (event.type === "content_block_delta" && event.delta.type === "text_delta") streamed += event.delta.text;
  const tools = [{ name: "weather", description, input_schema: schema }];
  const called = await client.messages.create({ model, max_tokens: 50, messages, tools });
  const call = called.content.find((block) => block.type === "tool_use");
  const final = await client.messages.stream({ model, max_tokens: 50, messages, tools }).finalMessage();
  const result = { type: "tool_result", tool_use_id: call.id, content: "sunny" };
  const after = await client.messages.create({
    model,
    max_tokens: 50,
    messages: [...messages, { role: "assistant", content: called.content }, { role: "user", content: [result] }],
    tools,
  });
  return {
    whole: whole.content[0].text,
    usage: [whole.usage.input_tokens, whole.usage.output_tokens],
    streamed,
    tool: [call.name, call.input],
    streamedTool: final.content.find((block) => block.type === "tool_use").input,
    afterTool: after.content[0].text,
  };
}

async function google() {
  const client = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: url } });
  const whole = await client.models.generateContent({ model, contents: question });
  let streamed = "";
  for await (const chunk of await client.models.generateContentStream({ model, contents: question }))
    streamed += chunk.text ?? "";
  const config = {
    tools: [{ functionDeclarations: [{ name: "weather", description, parametersJsonSchema: schema }] }],
  };
  const called = await client.models.generateContent({ model, contents: question, config });
  const call = called.functionCalls[0];
  let streamedCall;
  for await (const chunk of await client.models.generateContentStream({ model, contents: question, config }))
    streamedCall = chunk.functionCalls?.[0] ?? streamedCall;
  const functionResponse = { id: call.id, name: "weather", response: { result: "sunny" } };
  const after = await client.models.generateContent({
    model,
    contents: [
      { role: "user", parts: [{ text: question }] },
      called.candidates[0].content,
      { role: "user", parts: [{ functionResponse }] },
    ],
    config,
  });
  return {
    whole: whole.text,
    usage: [whole.usageMetadata.promptTokenCount, whole.usageMetadata.candidatesTokenCount],
    streamed,
    tool: [call.name, call.args],
    streamedTool: streamedCall.args,
    afterTool: after.text,
  };
}

async function ollama() {
  const client = new Ollama({ host: `${url}/ollama`, headers: { Authorization: `Bearer ${key}` } });
  const messages = [{ role: "user", content: question }];
  const whole = await client.chat({ model, messages });
  let streamed = "";
  for await (const chunk of await client.chat({ model, messages, stream: true })) streamed += chunk.message.content;
  const tools = [{ type: "function", function: { name: "weather", description, parameters: schema } }];
  const called = await client.chat({ model, messages, tools });
  const call = called.message.tool_calls[0].function;
  let streamedCall;
  for await (const chunk of await client.chat({ model, messages, tools, stream: true }))
    streamedCall = chunk.message.tool_calls?.[0]?.function ?? streamedCall;
  const after = await client.chat({
    model,
    messages: [...messages, called.message, { role: "tool", tool_name: "weather", content: "sunny" }],
    tools,
  });
  return {
    whole: whole.message.content,
    usage: [whole.prompt_eval_count, whole.eval_count],
    streamed,
    tool: [call.name, call.arguments],
    streamedTool: streamedCall.arguments,
    afterTool: after.message.content,
  };
}

async function vercel(languageModel) {
  const whole = await generateText({ model: languageModel, prompt: question, maxRetries: 0 });
  let streamed = "";
  for await (const text of streamText({ model: languageModel, prompt: question, maxRetries: 0 }).textStream)
    streamed += text;
  const tools = { weather: tool({ description, inputSchema: jsonSchema(schema) }) };
  const called = await generateText({ model: languageModel, prompt: question, tools, maxRetries: 0 });
  const call = called.toolCalls[0];
  const streamedCalls = await streamText({ model: languageModel, prompt: question, tools, maxRetries: 0 }).toolCalls;
  const output = { type: "text", value: "sunny" };
  const after = await generateText({
    model: languageModel,
    messages: [
      { role: "user", content: question },
      ...called.response.messages,
      { role: "tool", content: [{ type: "tool-result", toolCallId: call.toolCallId, toolName: "weather", output }] },
    ],
    tools,
    maxRetries: 0,
  });
  return {
    whole: whole.text,
    usage: [whole.usage.inputTokens, whole.usage.outputTokens],
    streamed,
    tool: [call.toolName, call.input],
    streamedTool: streamedCalls[0].input,
    afterTool: after.text,
  };
}

const sdks = {
  openai,
  anthropic,
  "google-genai": google,
  ollama,
  "vercel-openai": () => vercel(createOpenAI({ baseURL: `${url}/v1`, apiKey: key }).chat(model)),
  "vercel-anthropic": () => vercel(createAnthropic({ baseURL: `${url}/v1`, apiKey: key })(model)),
};
const wanted = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(sdks);
for (const name of wanted) {
  try {
    console.log(JSON.stringify({ sdk: name, ...(await sdks[name]()) }));
  } catch (error) {
    console.log(JSON.stringify({ sdk: name, failed: String(error.stack ?? error) }));
  }
}

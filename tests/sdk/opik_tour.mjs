// Traces with Opik's TypeScript SDK, reads everything back, and prints what it found as one line of JSON.
//
// OPIK_URL_OVERRIDE, OPIK_API_KEY and OPIK_WORKSPACE are what any user of it sets.

import { createRequire } from "node:module";

const require = createRequire(process.env.NODE_MODULES + "/");
const { Opik, ExactMatch, evaluate, track, flushAll } = require("opik");

const PROJECT = "typescript tour";
process.env.OPIK_PROJECT_NAME = PROJECT;
const client = new Opik({ projectName: PROJECT });

const trace = client.trace({
  name: "answer",
  input: { question: "where is my refund?" },
  tags: ["t1"],
  metadata: { m: 1 },
  threadId: "thread-1",
});
const span = trace.span({
  name: "ask",
  type: "llm",
  model: "gpt-4o-mini",
  provider: "openai",
  input: { messages: [{ role: "user", content: "hi" }] },
  usage: { prompt_tokens: 1000, completion_tokens: 100, total_tokens: 1100 },
});
const inner = span.span({ name: "look up", type: "tool", input: { q: 1 } });
inner.update({ output: { found: true } }).end();
span.update({ output: { text: "on its way" } }).end();
span.score({ name: "right", value: 0.5 });
trace.update({ output: { answer: "on its way" } }).end();
trace.score({ name: "quality", value: 0.75, reason: "so" });
await client.flush();

const tracked = track({ name: "tracked" }, async (x) => {
  const half = track({ name: "half" }, (y) => y / 2);
  return half(x);
});
const tracked_result = await tracked(84);
await flushAll();

const [own] = await client.searchTraces({ projectName: PROJECT, filterString: 'name = "answer"' });
const spans = await client.searchSpans({ projectName: PROJECT, filterString: `trace_id = "${own.id}"` });
const all = await client.searchTraces({ projectName: PROJECT });
const byName = Object.fromEntries(spans.map((each) => [each.name, each]));

const dataset = await client.getOrCreateDataset("typescript set", "numbers", PROJECT);
await dataset.insert([
  { input: "a", expected: "A" },
  { input: "b", expected: "X" },
]);
await client.flush();
const items = await dataset.getItems();
const result = await evaluate({
  dataset,
  client,
  projectName: PROJECT,
  experimentName: "typescript experiment",
  task: async (item) => ({ output: item.input.toUpperCase(), expected: item.expected }),
  scoringMetrics: [new ExactMatch("exact")],
});
const scores = result.testResults.map((each) => each.scoreResults[0].value).sort();
const prompt = await client.createPrompt({ name: "typescript greeting", prompt: "Hello {{name}}" });
const again = await client.getPrompt({ name: "typescript greeting" });

console.log(JSON.stringify({
  answer: [own.input, own.output, own.tags, own.metadata.m, own.threadId],
  score: own.feedbackScores.map((score) => [score.name, score.value, score.reason]),
  spans: spans.map((each) => each.name).sort(),
  nested: byName["look up"].parentSpanId === byName.ask.id && byName.ask.traceId === own.id,
  ask: [byName.ask.type, byName.ask.model, byName.ask.usage.total_tokens, byName.ask.output.text],
  cost: byName.ask.totalEstimatedCost,
  tracked: [tracked_result, all.map((each) => each.name).filter((name) => name === "tracked").length],
  items: items.length,
  scores,
  experiment: (await client.getExperiment("typescript experiment", PROJECT)).name,
  prompt: [prompt.commit === again.commit, again.format({ name: "Ada" })],
}));

// The same measurements with llama.cpp (node-llama-cpp's prebuilt binary) on one thread: prints one `name value` a line.
import { getLlama } from "node-llama-cpp";

const PROMPTS = [
  "Once upon a time in a small village by the sea there lived an old fisherman who every morning went out with his little boat to",
  "The history of the steam engine begins in the first century, when a Greek inventor described a simple device that turned heat into",
  "Dear Sir or Madam, I am writing to you about the bicycle that I bought in your shop two weeks ago, because its front wheel",
];
const TOKENS = 100;

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

const llama = await getLlama({ gpu: false, build: "never", maxThreads: 1, progressLogs: false });
const start = performance.now();
const model = await llama.loadModel({ modelPath: process.argv[2] });
const context = await model.createContext({ contextSize: 2048, threads: 1 });
console.log(`load_ms ${(performance.now() - start).toFixed(1)}`);
const sequence = context.getSequence();
const firsts = [];
const rates = [];
for (const prompt of PROMPTS) {
  await sequence.clearHistory();
  const tokens = model.tokenize(prompt);
  const begin = performance.now();
  let first = 0;
  let count = 0;
  for await (const _ of sequence.evaluate(tokens, { temperature: 0, yieldEogToken: true })) {
    if (count === 0) first = performance.now() - begin;
    count += 1;
    if (count === TOKENS) break;
  }
  firsts.push(first);
  rates.push(((count - 1) * 1000) / (performance.now() - begin - first));
}
console.log(`first_token_ms ${median(firsts).toFixed(1)}`);
console.log(`tokens_per_second ${median(rates).toFixed(1)}`);
process.exit(0);

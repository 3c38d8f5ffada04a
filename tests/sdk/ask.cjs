// Asks the model that OPENAI_BASE_URL serves as `chat`, whole and streamed, and prints what came as JSON.
const OpenAI = require("openai");

const question = {
  model: "chat",
  temperature: 0,
  max_tokens: 32,
  messages: [{ role: "user", content: "Tell me the capital of France." }],
};
const counts = ({ prompt_tokens, completion_tokens }) => ({ prompt_tokens, completion_tokens });

async function main() {
  const client = new OpenAI({ maxRetries: 0 });
  const whole = await client.chat.completions.create(question);
  let streamed = "";
  let usage;
  const stream = await client.chat.completions.create({
    ...question,
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const chunk of stream) {
    usage = chunk.usage ?? usage;
    for (const choice of chunk.choices) streamed += choice.delta.content ?? "";
  }
  let missing = 200;
  try {
    await client.chat.completions.create({ ...question, model: "no-such-model" });
  } catch (error) {
    missing = error.status;
  }
  const models = [];
  for await (const model of client.models.list()) models.push(model.id);
  console.log(
    JSON.stringify({
      whole: whole.choices[0].message.content,
      usage: counts(whole.usage),
      streamed,
      streamedUsage: counts(usage),
      missing,
      models,
    }),
  );
}

main();

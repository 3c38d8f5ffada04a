import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, test } from "vitest";
import type { Page } from "playwright-core";
import { Script, Stead, close, enter, say, until } from "./world";

const folder = process.env["SCREENSHOTS"]!;
const stead = new Stead();
let script: Script;

const ANSWER = `A bicycle stays upright mostly because **it steers into the fall**. Three effects add up:

1. *Trail*: the front wheel touches the ground behind the steering axis, so that leaning turns it to the same side.
2. *Gyroscopic precession* of the wheels, which helps a little.
3. The rider, who corrects the rest.

Leaning by an angle $\\theta$ at speed $v$ wants a curve of radius

$$r = \\frac{v^2}{g \\tan\\theta}$$

| speed | radius at 5° |
| --- | --- |
| 10 km/h | 9.0 m |
| 20 km/h | 36 m |

\`\`\`python
from math import radians, tan

def radius(speed: float, lean: float) -> float:
    """The radius of the curve that holds a lean, in metres."""
    return speed**2 / (9.81 * tan(radians(lean)))
\`\`\``;

beforeAll(async () => {
  mkdirSync(folder, { recursive: true });
  await stead.start();
  script = await new Script().start();
  stead.serveModels();
  for (const name of ["qwen3-32b", "llama-3.3-70b", "team-chat"]) stead.serveScript(script, name);
  script.answer = (_, response) => say(response, ANSWER.match(/[\s\S]{1,9}/g) ?? [], 2);
  seedKinds();
  await seedThreads();
  await seedTraces();
  await seedEvaluations();
});
afterAll(async () => {
  script.end();
  await close();
  await stead.end();
});

function seedKinds() {
  stead.apply(`apiVersion: stead.dev/v1alpha1
kind: ModelRoute
metadata: {name: team-chat}
spec:
  targets:
    - {provider: qwen3-32b, model: any, weight: 3}
    - {provider: llama-3.3-70b, model: any, weight: 1}
  fallbacks: [chat]
---
apiVersion: stead.dev/v1alpha1
kind: Quota
metadata: {name: team-budget}
spec: {subject: {kind: Project}, hard: false, limits: [{per: month, spendUsd: 250}, {per: day, requests: 5000}]}
---
apiVersion: stead.dev/v1alpha1
kind: Guardrail
metadata: {name: privacy}
spec: {stages: [Input], rules: [{name: personal-data, action: Redact, detectors: [pii]}, {name: secrets, action: Block, detectors: [secrets]}]}
---
apiVersion: stead.dev/v1alpha1
kind: ApiKey
metadata: {name: support-bot}
spec: {routes: [team-chat], metadata: {team: support}, writeToSecretRef: {name: support-bot-key}}
`);
}

async function seedEvaluations() {
  const items = ["2 + 2", "3 + 5", "10 - 4"].map((input, index) => ({ id: crypto.randomUUID(), source: "sdk", data: { input, expected_output: ["4", "8", "6"][index] } }));
  await stead.api("PUT", "/opik/api/v1/private/datasets/items", { dataset_name: "sums", items });
  await stead.api("PUT", "/opik/api/v1/private/datasets/items", { dataset_name: "tickets of March", items: items.slice(0, 2).map((item) => ({ ...item, id: crypto.randomUUID() })) });
}

async function seedThreads() {
  const threads = [
    ["Release notes for 2.4", "Work", false],
    ["Interview questions for the backend role", "Work", false],
    ["What to plant in March", "", true],
    ["Sourdough that does not collapse", "", false],
    ["Explain Raft to a new colleague", "", false],
    ["SQL for weekly active users", "", false],
  ] as const;
  const file = threads.map(([title, , pinned]) => ({ title, pinned, chat: { models: ["team-chat"], history: { currentId: "b", messages: { a: { role: "user", content: title }, b: { role: "assistant", content: "Gladly.", parentId: "a", model: "team-chat" } } } } }));
  const made = (await (await stead.api("POST", "/api/threads/import", file)).json()) as { id: string }[];
  for (const [index, [, folder]] of threads.entries()) if (folder) await stead.api("PATCH", `/api/threads/${made[index]!.id}`, { folder });
}

async function seedTraces() {
  const ask = (model: string, content: string, more: object = {}) => stead.api("POST", "/v1/chat/completions", { model, stream: true, messages: [{ role: "user", content }], max_tokens: 24, ...more }).then((answer) => answer.text());
  for (const [index, question] of ["Summarise the attached report", "Translate to French: good morning", "Why is the sky blue?", "Draft a reply to the supplier", "List three risks of this plan", "What changed since Monday?"].entries()) await ask(index % 2 ? "qwen3-32b" : "llama-3.3-70b", question);
  await ask("chat", "Name a colour.");
  script.answer = (_, response) => void response.writeHead(503, { "content-type": "application/json" }).end('{"error":{"message":"the model is overloaded"}}');
  await ask("qwen3-32b", "Score these leads");
  script.answer = (_, response) => say(response, ANSWER.match(/[\s\S]{1,9}/g) ?? [], 2);
  const hex = Date.now().toString(16).padStart(12, "0");
  const id = (index: number) => `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-${index.toString(16).padStart(12, "0")}`;
  const at = (ms: number) => new Date(Date.now() - 20_000 + ms).toISOString();
  const trace = { id: id(1), name: "answer support ticket", project_name: "support-bot", start_time: at(0), end_time: at(4200), input: { messages: [{ role: "system", content: "You answer tickets of a bicycle shop." }, { role: "user", content: "My order 4711 has not arrived. Where is it?" }] }, output: { choices: [{ message: { role: "assistant", content: "Your parcel left our warehouse on **Tuesday** and is with the carrier; it should reach you by Friday." } }] }, tags: ["production"], thread_id: "ticket-4711" };
  await stead.api("POST", "/opik/api/v1/private/traces/batch", { traces: [trace] });
  const span = (index: number, parent: number | undefined, name: string, type: string, from: number, to: number, more: object = {}) => ({ id: id(index), trace_id: trace.id, ...(parent ? { parent_span_id: id(parent) } : {}), project_name: "support-bot", name, type, start_time: at(from), end_time: at(to), ...more });
  await stead.api("POST", "/opik/api/v1/private/spans/batch", {
    spans: [
      span(10, undefined, "classify intent", "llm", 40, 610, { model: "qwen3-32b", provider: "openai", usage: { prompt_tokens: 212, completion_tokens: 8, total_tokens: 220 } }),
      span(11, undefined, "look up order", "tool", 640, 980, { input: { order: 4711 }, output: { status: "shipped", carrier: "DHL" } }),
      span(12, undefined, "retrieve policy", "general", 1000, 1620),
      span(13, 12, "embed question", "llm", 1010, 1150, { model: "embeddings" }),
      span(14, 12, "search passages", "tool", 1160, 1600),
      span(15, undefined, "write answer", "llm", 1650, 3900, { model: "llama-3.3-70b", provider: "openai", usage: { prompt_tokens: 1460, completion_tokens: 118, total_tokens: 1578 } }),
      span(16, undefined, "check tone", "guardrail", 3920, 4180),
    ],
  });
  await stead.api("PUT", `/opik/api/v1/private/traces/${trace.id}/feedback-scores`, { name: "quality", value: 0.9, source: "ui" });
}

/** A page that shows itself, once a text of it is there. */
const plain = (path: string, text: string) => async (page: Page) => {
  await page.goto(path);
  await page.locator("main").getByText(text).first().waitFor();
  await page.waitForTimeout(700);
};

const pages: Record<string, (page: Page) => Promise<void>> = {
  "sign-in": async () => {},
  home: async (page) => {
    await page.goto("/");
    await page.getByText("AMD").or(page.getByText("core")).first().waitFor();
  },
  chat: async (page) => {
    await page.evaluate(() => localStorage.setItem("stead.chat.model", "team-chat"));
    await page.goto("/chat");
    await page.getByRole("button", { name: "Model: team-chat" }).waitFor();
    await page.getByLabel("Your message").fill("Explain how a bicycle stays upright");
    await page.keyboard.press("Enter");
    await page.getByText(/tok\/s/).waitFor();
    await page.locator(".katex").first().waitFor();
    await page.getByRole("log").evaluate((node) => (node.scrollTop = 0));
  },
  playground: async (page) => {
    await page.goto("/playground?models=qwen3-32b,llama-3.3-70b,chat");
    await page.getByLabel("Message 1").fill("Explain how a {{vehicle}} stays upright, in two sentences.");
    await page.getByRole("textbox").nth(1).fill("bicycle");
    await page.getByRole("button", { name: /^Run/ }).click();
    await until("answers", async () => (await page.getByText(/to first/).count()) === 3);
    await page.locator(".katex").first().waitFor();
  },
  traces: async (page) => {
    await page.goto("/traces?since=1h");
    await page.getByRole("listbox", { name: "Traces" }).getByRole("option").first().waitFor();
  },
  trace: async (page) => {
    await page.goto("/traces?since=1h");
    await page.getByText("answer support ticket").first().click();
    await page.getByText("write answer").waitFor();
    await page.getByText("quality").waitFor();
  },
  threads: async (page) => {
    await page.goto("/threads");
    await page.getByLabel("Application").selectOption("support-bot");
    await page.getByText("My order 4711").first().click();
    await page.getByText("Your parcel left").last().waitFor();
  },
  evaluations: plain("/evaluations/datasets", "sums"),
  usage: plain("/usage", "qwen3-32b"),
  providers: plain("/providers", "qwen3-32b"),
  route: plain("/routes/team-chat", "Other routes"),
  keys: plain("/keys", "support-bot"),
  quotas: plain("/quotas", "team-budget"),
  guardrails: plain("/guardrails", "privacy"),
  prompts: plain("/prompts", "Prompts"),
  resources: plain("/kinds", "ModelRoute"),
  resource: plain("/kinds/stead.dev/modelroutes/team-chat", "team-chat"),
  activity: plain("/activity", "Activity"),
  settings: plain("/settings", "retentionDays"),
  api: plain("/api-reference", "/api/session"),
  palette: async (page) => {
    await page.goto("/traces?since=1h");
    await page.getByRole("listbox", { name: "Traces" }).getByRole("option").first().waitFor();
    await page.keyboard.press("Control+k");
    await page.getByRole("combobox", { name: "Go, act or ask" }).fill("tr");
    await page.waitForTimeout(150);
  },
};

for (const theme of ["light", "dark"] as const) {
  test(`pictures, ${theme}`, async () => {
    const { page, context } = await enter(stead, { theme, width: 1360, height: 850 });
    for (const [name, show] of Object.entries(pages)) {
      if (name === "sign-in") {
        const guest = await context.browser()!.newContext({ viewport: { width: 1360, height: 850 }, colorScheme: theme, baseURL: stead.address });
        const sheet = await guest.newPage();
        await sheet.goto("/sign-in");
        await sheet.getByLabel("Name").waitFor();
        await sheet.evaluate(() => document.fonts.ready);
        await sheet.screenshot({ path: join(folder, `${name}-${theme}.png`) });
        await guest.close();
        continue;
      }
      await show(page);
      await page.evaluate(() => document.fonts.ready);
      await page.waitForTimeout(200);
      await page.screenshot({ path: join(folder, `${name}-${theme}.png`) });
    }
    await page.setViewportSize({ width: 390, height: 780 });
    await page.keyboard.press("Escape");
    await page.goto("/chat");
    await page.getByLabel("Your message").waitFor();
    await page.screenshot({ path: join(folder, `narrow-${theme}.png`) });
    await context.close();
  });
}

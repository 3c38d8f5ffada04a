import { describe, expect, test } from "vitest";
import { largeTrace } from "./bench/filled";
import { PAGES } from "./pages";
import { stage } from "./stage";
import { SOON, say, until, violations } from "./world";

const { stead, script, visit } = stage(async (stead, script) => {
  stead.serveScript(script, "chat");
  stead.serveScript(script, "one");
  stead.serveScript(script, "two");
  script.answer = (_, response) => say(response, ["fine"]);
  for (const text of ["Why?", "What?"]) await ask("one", text);
  script.answer = (_, response) => void response.writeHead(500, { "content-type": "application/json" }).end('{"error":{"message":"<img src=x onerror=window.hurt=1> broke"}}');
  await ask("one", "Fail <script>window.hurt=1</script>");
  script.answer = (body, response) => say(response, [`answered ${String(body.messages.at(-1)?.content)}`]);
  const traces = Array.from({ length: 10 }, (_, index) => ({ id: uuid(index), name: `app ${index}`, start_time: new Date(Date.now() - 60_000 - index * 1000).toISOString(), end_time: new Date().toISOString(), input: { question: `Question ${index}` }, output: { answer: `Answer ${index}` }, project_name: "shop" }));
  expect((await stead.api("POST", "/opik/api/v1/private/traces/batch", { traces })).ok).toBe(true);
});

/** An id of version 7, as Opik's SDK makes them. */
function uuid(index: number): string {
  const time = (Date.now() - 60_000).toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${index.toString(16).padStart(12, "0")}`;
}

async function ask(model: string, content: string): Promise<void> {
  await stead.api("POST", "/v1/chat/completions", { model, stream: true, messages: [{ role: "user", content }] }).then((answer) => answer.text());
}

test("a failed request is found and replayed in three clicks, and nothing in it runs", async () => {
  const { page, errors } = await visit("/traces");
  await page.getByRole("button", { name: "Views" }).click();
  await page.getByRole("menuitem", { name: "Errors" }).click();
  await page.waitForURL(/status/);
  await page.getByRole("listbox", { name: "Traces" }).getByRole("option").first().click();
  await page.getByRole("region", { name: "What was asked and answered" }).getByText("window.hurt").first().waitFor();
  expect(await page.evaluate(() => (window as { hurt?: number }).hurt)).toBeUndefined();
  await page.getByRole("button", { name: "Replay" }).click();
  await page.getByLabel("Message 1").waitFor();
  await until("the question to be there", async () => (await page.getByLabel("Message 1").inputValue()).startsWith("Fail"));
  await page.keyboard.press("Control+Enter");
  await page.getByText(/answered Fail/).waitFor();
  expect(errors).toEqual([]);
});

test("the filter completes fields and values, its address keeps it, and a mistake is told", async () => {
  const { page } = await visit("/traces");
  await page.getByRole("listbox", { name: "Traces" }).waitFor();
  await page.keyboard.press("f");
  await page.keyboard.type("app");
  await page.getByRole("option", { name: /^application:/ }).waitFor();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.getByRole("option", { name: "application:shop" }).waitFor();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.waitForURL(/q=application%3Ashop/);
  await until("ten rows", async () => (await page.getByRole("listbox", { name: "Traces" }).getByRole("option").count()) === 10);
  await page.reload();
  await until("the same ten rows", async () => (await page.getByRole("listbox", { name: "Traces" }).getByRole("option").count()) === 10);
  await page.getByLabel("Filter", { exact: true }).fill("latency>x");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").waitFor();
});

test("ten traces are annotated by keys alone", async () => {
  const { page } = await visit("/traces?q=application%3Ashop");
  await page.getByRole("listbox", { name: "Traces" }).getByRole("option").first().waitFor();
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  const heading = page.getByRole("region", { name: "Trace", exact: true }).getByRole("heading", { level: 2 });
  const seen = new Set<string>();
  for (let index = 0; index < 10; index++) {
    await page.getByRole("region", { name: "Scores and comments" }).waitFor();
    const name = await heading.innerText();
    seen.add(name);
    await page.keyboard.press(index % 2 === 0 ? "u" : "d");
    if (index < 9) await until("the next trace", async () => (await heading.count()) === 1 && (await heading.innerText()) !== name);
  }
  expect(seen.size).toBe(10);
  await until("all ten scores", async () => {
    const found = (await (await stead.api("GET", "/api/traces?q=score.quality%3E%3D0&projects=default&since=1h")).json()) as { items: unknown[] };
    return found.items.length === 10;
  });
  await page.keyboard.press("c");
  await page.keyboard.type("Well said");
  await page.keyboard.press("Enter");
  await page.getByText("Well said").waitFor();
});

test("several traces are chosen by keys and added to a dataset", async () => {
  const { page, errors } = await visit("/traces?q=application%3Ashop");
  await until("ten rows", async () => (await page.getByRole("listbox", { name: "Traces" }).getByRole("option").count()) === 10);
  for (const key of ["j", "x", "j", "j", "x"]) await page.keyboard.press(key);
  await page.getByText("2 chosen").waitFor();
  expect(await violations(page)).toEqual([]);
  await page.getByRole("button", { name: "Add to a dataset" }).click();
  await page.getByLabel("Dataset", { exact: true }).fill("chosen ones");
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await page.getByText("2 items added to chosen ones").waitFor();
  await page.getByText("2 chosen").waitFor({ state: "detached" });
  const { id } = (await (await stead.api("POST", "/opik/api/v1/private/datasets/retrieve", { dataset_name: "chosen ones" })).json()) as { id: string };
  const items = (await (await stead.api("GET", `/opik/api/v1/private/datasets/${id}/items`)).json()) as { content: { data: { input: { question: string } } }[] };
  expect(items.content.map((item) => item.data.input.question).sort()).toEqual(["Question 7", "Question 9"]);
  expect(errors).toEqual([]);
});

test("a live list shows what happens", async () => {
  const { page } = await visit("/traces?q=source%3Agateway&live=yes");
  await page.getByRole("listbox", { name: "Traces" }).waitFor();
  const before = await page.getByRole("listbox", { name: "Traces" }).getByRole("option").count();
  await ask("two", "Live?");
  await until("one more", async () => (await page.getByRole("listbox", { name: "Traces" }).getByRole("option").count()) > before);
});

test("a trace of ten thousand spans is a tree in which only what is in sight is on the page (Opik 4136)", async () => {
  const trace = await largeTrace(stead);
  const { page } = await visit(`/traces/${trace}`);
  await page.getByText("10,000 spans").or(page.getByText("10,001 spans")).waitFor();
  expect(await page.getByRole("treeitem").count()).toBeLessThan(80);
  await page.getByRole("tree").evaluate((node) => (node.scrollTop = node.scrollHeight));
  await until("the end of the tree", async () => (await page.getByRole("treeitem", { name: /^span 0 / }).count()) === 0 && (await page.getByRole("treeitem").count()) > 5);
});

test("two models are compared in the playground, and what is asked is code for a program", async () => {
  const { page, errors } = await visit("/playground?models=one,two");
  await page.getByLabel("Message 1").fill("Say {{word}}");
  await page.getByRole("textbox").nth(1).fill("hello");
  await page.getByRole("button", { name: /^Run/ }).click();
  await until("both answers", async () => (await page.getByText("answered Say hello").count()) === 2);
  await until("what they took", async () => (await page.getByText(/to first/).count()) === 2);
  await page.getByRole("button", { name: "More" }).click();
  await page.getByRole("menuitem", { name: "Get code" }).click();
  await page.getByText("chat/completions").waitFor();
  expect(await violations(page)).toEqual([]);
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "More" }).click();
  await page.getByRole("menuitem", { name: "Save as a prompt" }).click();
  await page.getByLabel("Name").fill("greeting");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByText("greeting is saved as version 1").waitFor();
  expect(errors).toEqual([]);
});

test("an input of 30,000 lines is shown, and the page stays quick (Opik 1905)", async () => {
  const input = Array.from({ length: 30_000 }, (_, index) => `line ${index}`).join("\n");
  const id = uuid(88);
  await stead.api("POST", "/opik/api/v1/private/traces/batch", { traces: [{ id, name: "long input", start_time: new Date().toISOString(), end_time: new Date().toISOString(), input: { text: input, kind: "log", part: 1, of: 1 }, output: { answer: "read" }, project_name: "long" }] });
  const { page, errors } = await visit(`/traces/${id}`);
  await page.getByText("line 17").first().waitFor();
  const start = Date.now();
  await page.getByRole("button", { name: "Raw" }).click();
  await page.waitForURL(/as=raw/);
  expect(Date.now() - start).toBeLessThan(SOON);
  expect(await page.evaluate(() => document.querySelectorAll("*").length)).toBeLessThan(5000);
  expect(errors).toEqual([]);
});

test("a conversation of several traces is read as one, judged by keys, and closed", async () => {
  const at = (index: number) => new Date(Date.now() - 50_000 + index * 1000).toISOString();
  const said = [["user", "Where is my order?"], ["assistant", "On its way."], ["user", "When will it come?"]].map(([role, content]) => ({ role, content }));
  const traces = [
    { id: uuid(91), input: { messages: said.slice(0, 1) }, output: { choices: [{ message: said[1] }] } },
    { id: uuid(92), input: { messages: said }, output: { choices: [{ message: { role: "assistant", content: "On <b>Friday</b>." } }] } },
  ].map((trace, index) => ({ ...trace, name: "answer", thread_id: "ticket 4711", start_time: at(index), end_time: at(index + 1), project_name: "support" }));
  expect((await stead.api("POST", "/opik/api/v1/private/traces/batch", { traces })).ok).toBe(true);
  const { page, errors } = await visit("/threads");
  await page.getByLabel("Application").selectOption("support");
  const list = page.getByRole("listbox", { name: "Threads" });
  await list.getByText("Where is my order?").waitFor();
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  const thread = page.getByRole("region", { name: "What was said" });
  await thread.getByText("On <b>Friday</b>.").waitFor();
  // What the second trace sends along of the first is not shown twice.
  expect(await thread.getByText("Where is my order?").count()).toBe(1);
  expect(await violations(page)).toEqual([]);
  await page.keyboard.press("u");
  await thread.getByText("quality").waitFor();
  await page.getByRole("button", { name: "More of this thread" }).click();
  await page.getByRole("menuitem", { name: "It is over" }).click();
  await page.getByRole("region", { name: "Thread" }).getByText("inactive").waitFor();
  await page.keyboard.press("Escape");
  await page.waitForURL(/\/threads\?/);
  expect(await violations(page)).toEqual([]);
  expect(errors).toEqual([]);
});

test.each(PAGES)("%s is usable at twice the zoom", async (path) => {
  // Of a window of 1,280 by 800 pixels, zoomed to 200 %, pages get half.
  const { page, errors } = await visit("/", { width: 640, height: 400 });
  await page.goto(path);
  await page.locator("main").first().waitFor();
  await page.waitForTimeout(500);
  expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
  // What can be pressed in the page's header can be reached with the pointer.
  const outside = await page.locator("main header button:visible, main header a:visible").evaluateAll((nodes) => nodes.filter((node) => node.getBoundingClientRect().right > innerWidth + 1).map((node) => node.outerHTML.slice(0, 200)));
  expect(outside).toEqual([]);
  expect(errors).toEqual([]);
});

describe.each(["light", "dark"] as const)("in %s", (theme) => {
  test.each([1280, 390])("traces and the playground are accessible, %i pixels wide", async (width) => {
    const { page } = await visit("/traces", { theme, width });
    await page.getByRole("listbox", { name: "Traces" }).getByRole("option").first().waitFor();
    expect(await violations(page)).toEqual([]);
    await page.getByRole("listbox", { name: "Traces" }).getByRole("option").first().click();
    await page.getByRole("region", { name: "What was asked and answered" }).waitFor();
    await page.getByRole("button", { name: "Raw" }).waitFor();
    expect(await violations(page)).toEqual([]);
    await page.getByRole("button", { name: "Raw" }).click();
    expect(await violations(page)).toEqual([]);
    await page.goto("/traces?q=name%3Anothing-is-called-that");
    await page.getByText("Nothing matches").waitFor();
    expect(await violations(page)).toEqual([]);
    await page.goto("/playground?models=one,two");
    await page.getByLabel("Message 1").waitFor();
    await page.getByRole("button", { name: "Show schema and tools" }).click();
    expect(await violations(page)).toEqual([]);
    expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
  });
});

import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { BrowserContext, Page } from "playwright-core";
import { longThread } from "./bench/filled";
import { Script, Stead, chunk, close, enter, say, until, violations } from "./world";

const stead = new Stead();
let script: Script;
let open: BrowserContext[] = [];

beforeAll(async () => {
  await stead.start();
  script = await new Script().start();
  stead.serveModels();
  stead.serveScript(script);
  stead.serveScript(script, "other");
});
afterEach(async () => {
  for (const context of open) await context.close();
  open = [];
});
afterAll(async () => {
  script.end();
  await close();
  await stead.end();
});

async function chat(model: string, look = {}): Promise<{ page: Page; errors: string[] }> {
  const { page, context, errors } = await enter(stead, look);
  open.push(context);
  await page.evaluate((name) => localStorage.setItem("stead.chat.model", name), model);
  await page.goto("/chat");
  await page.getByRole("button", { name: `Model: ${model}` }).waitFor();
  return { page, errors };
}

async function ask(page: Page, text: string): Promise<void> {
  await page.getByLabel("Your message").fill(text);
  await page.keyboard.press("Enter");
}

test("the real model answers, the answer is kept, and the page shows the same after a reload", async () => {
  const { page, errors } = await chat("chat");
  // However long it would speak.
  await page.getByRole("button", { name: "System prompt and parameters" }).click();
  await page.getByLabel("Longest answer").fill("40");
  await page.getByLabel("Longest answer").blur();
  await page.getByLabel("System prompt and parameters").getByRole("button", { name: "Close" }).click();
  await ask(page, "Tell me the capital of France.");
  await page.getByRole("article", { name: "Answer by chat" }).getByText(/\d tokens/).waitFor();
  const answer = await page.getByRole("article", { name: "Answer by chat" }).locator(".md").innerText();
  await page.waitForURL(/\/chat\/[0-9a-f-]{36}/);
  await until("the answer to be stored", async () => {
    const id = page.url().split("/").at(-1);
    const stored = (await (await stead.api("GET", `/api/threads/${id}/messages`)).json()) as { items: unknown[] };
    return stored.items.length === 2;
  });
  await page.reload();
  await page.getByRole("article", { name: "Answer by chat" }).waitFor();
  expect(await page.getByRole("article", { name: "Answer by chat" }).locator(".md").innerText()).toBe(answer);
  expect(await page.getByRole("article").count()).toBe(2);
  expect(errors).toEqual([]);
});

test("an answer is stopped, asked again and edited, and every version is gone back to", async () => {
  script.answer = async (_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(chunk({ content: "It begins" }));
  };
  const { page } = await chat("scripted");
  await ask(page, "Begin");
  await page.getByText("It begins").waitFor();
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByText("stopped").waitFor();
  let answers = 0;
  script.answer = (_, response) => say(response, [`Answer ${++answers}`]);
  await page.getByRole("button", { name: "Answer again" }).click();
  await page.getByRole("menuitem", { name: /Again by/ }).click();
  await page.getByText("Answer 1").waitFor();
  await page.getByText("2/2").waitFor();
  await page.getByRole("button", { name: "Earlier version" }).click();
  await page.getByText("It begins").waitFor();
  await page.getByRole("button", { name: "Later version" }).click();
  await page.getByText("Answer 1").waitFor();
  await page.getByRole("article", { name: "You" }).hover();
  await page.getByRole("button", { name: "Edit", exact: true }).click();
  await page.getByLabel("Edit the question").fill("Begin anew");
  await page.keyboard.press("Enter");
  await page.getByText("Answer 2").waitFor();
  expect(await page.getByText("Answer 1").count()).toBe(0);
  await page.getByRole("button", { name: "Earlier version" }).first().click();
  await page.getByText("Answer 1").waitFor();
});

test("several models answer side by side, and the conversation goes on with one of them", async () => {
  // Each says which request it answers; the one that came last is held back.
  let finish = () => {};
  let asked = 0;
  script.answer = async (_, response) => {
    const number = ++asked;
    if (number === 2) await new Promise<void>((resolve) => (finish = resolve));
    await say(response, [`answer ${number}`]);
  };
  const { page } = await chat("scripted");
  await page.getByRole("button", { name: "Model: scripted" }).click();
  await page.getByRole("button", { name: "other beside it" }).click();
  await page.keyboard.press("Escape");
  await ask(page, "Who are you?");
  // One is there and the conversation goes on with it, while the other is still awaited beside it.
  await page.getByText("answer 1").waitFor();
  await page.getByText("goes on").waitFor();
  const boxes = await Promise.all((await page.getByRole("article", { name: /Answer by/ }).all()).map((article) => article.boundingBox()));
  expect(boxes.map((box) => box!.y)).toEqual([boxes[0]!.y, boxes[0]!.y]);
  finish();
  await page.getByText("answer 2").waitFor();
  await page.getByRole("button", { name: "Go on with this" }).click();
  expect(await page.getByText("goes on").count()).toBe(1);
  await ask(page, "Go on");
  await page.getByText("answer 3").waitFor();
});

describe("what a model or a person writes", () => {
  test("is text, whatever it looks like: no script of it runs and nothing of it is fetched", async () => {
    const hostile = [
      '<img src=x onerror="window.hurt=1"><script>window.hurt=1</script>',
      "[a](javascript:window.hurt=1) ![b](http://127.0.0.1:1/spy.png) <a href='javascript:window.hurt=1'>c</a>",
      '```html"><img src=x onerror=window.hurt=1>\n<script>window.hurt=1</script>\n```',
      "$\\href{javascript:window.hurt=1}{x}$ $\\htmlData{a=b}{x}$ $$\\frac{1$$ $\\undefined$",
      "| <b onclick=window.hurt=1>x</b> | y |\n| --- | --- |\n| 1 | 2 |",
      "مرحبا بالعالم",
    ].join("\n\n");
    script.answer = (_, response) => say(response, [hostile]);
    const { page, errors } = await chat("scripted");
    await ask(page, '<img src=x onerror="window.hurt=1">');
    await page.getByText("مرحبا بالعالم").waitFor();
    await page.locator("table").waitFor();
    expect(await page.evaluate(() => (window as { hurt?: number }).hurt)).toBeUndefined();
    expect(await page.locator("main article script, main article [onerror], main article a[href^=javascript]").count()).toBe(0);
    const direction = await page.locator("p", { hasText: "مرحبا" }).evaluate((node) => getComputedStyle(node).direction);
    expect(direction).toBe("rtl");
    expect(errors).toEqual([]);
  });

  test("is shown with its formulas, tables and code, which can be copied (Open WebUI 2629, 8299)", async () => {
    // Delimiters of every sort, over several lines, in a list, in a table and with text right beside them.
    const formulas = "1. \\( p^* \\)holds\n2. then\n   \\[\n   p^*\n   \\]\n\n\\[\np^*\n\\]\n\n$$\nq\n$$\n\n| c |\n| --- |\n| $r$ |";
    const text = "Euler: $e^{i\\pi}+1=0$, \\(a^2\\) and\n\n$$\\int_0^1 x\\,dx$$\n\n\\[\\sum_i i\\]\n\n" + formulas + "\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\n```python\nprint('hello')\n```\n\nIt costs $5 and $6.";
    script.answer = (_, response) => say(response, text.match(/[\s\S]{1,7}/g) ?? []);
    const { page, errors } = await chat("scripted");
    await ask(page, "Show everything");
    await page.getByText("It costs $5 and $6.").waitFor();
    await until("formulas", async () => (await page.locator(".katex").count()) === 9);
    expect(await page.locator(".katex-error").count()).toBe(0);
    await page.locator(".hljs-string").waitFor();
    expect(await page.locator("table td").count()).toBe(3);
    await page.getByRole("button", { name: "Copy", exact: true }).click();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe("print('hello')");
    expect(errors).toEqual([]);
  });

  test("may be five megabytes long, and the page stays quick", async () => {
    const long = "word ".repeat(1_000_000);
    script.answer = (_, response) => say(response, ["short"]);
    const { page } = await chat("scripted");
    await page.getByLabel("Your message").evaluate((node, text) => {
      (node as HTMLTextAreaElement).value = text;
      node.dispatchEvent(new Event("input", { bubbles: true }));
    }, long);
    await page.getByText("pasted text").waitFor();
    await page.getByLabel("Your message").fill("Summarise it");
    await page.getByRole("button", { name: "Send" }).click();
    await page.getByText("short").waitFor();
    expect(JSON.stringify(script.asked.at(-1)).length).toBeGreaterThan(5_000_000);
    await page.getByRole("button", { name: "Copy the answer" }).click();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe("short");
  });
});

test("a server that is killed within an answer is said so, and afterwards nothing is lost or doubled", async () => {
  script.answer = async (_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(chunk({ content: "Half an answer" }));
  };
  const { page } = await chat("scripted");
  await ask(page, "Tell me something long");
  await page.getByText("Half an answer").waitFor();
  await stead.kill();
  await page.getByText("The answer broke off").waitFor();
  await page.getByText(/The server does not answer/).waitFor();
  expect(await page.getByText("Half an answer").count()).toBe(1);
  await stead.start();
  await until("everything to be stored", async () => {
    const list = (await (await stead.api("GET", "/api/threads?limit=1")).json()) as { items: { id: string }[] };
    const stored = (await (await stead.api("GET", `/api/threads/${list.items[0]?.id}/messages`)).json()) as { items: { content: string }[] };
    return stored.items.length === 2 && stored.items[1]?.content === "Half an answer";
  });
  await until("the page to notice", async () => (await page.getByText(/What you see may be old/).count()) === 0);
  script.answer = (_, response) => say(response, ["The whole answer"]);
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByText("The whole answer").waitFor();
  await page.getByText("2/2").waitFor();
});

test("a chat of a thousand messages opens at its end (Open WebUI 3620)", async () => {
  const thread = await longThread(stead);
  const { page } = await chat("scripted");
  await page.getByRole("link", { name: "Long", exact: true }).waitFor();
  await page.getByRole("link", { name: "Long", exact: true }).click();
  await page.getByText("Message 999 of many").waitFor();
  expect(page.url()).toContain(thread);
  expect(await page.getByRole("article").count()).toBeLessThan(60);
  await page.getByRole("button", { name: /earlier/ }).click();
  await page.getByText("Message 961 of many").waitFor();
});

test("documents are asked with citations over the real embedding model", async () => {
  script.answer = (_, response) => say(response, ["They dance [1]."]);
  const { page } = await chat("scripted");
  await page.getByRole("button", { name: "Collections" }).click();
  await page.getByPlaceholder("Handbook").fill("Bees");
  await page.getByLabel("Embedding model").selectOption("embeddings");
  await page.getByRole("button", { name: "Make" }).click();
  await page.getByText("No document yet.").waitFor();
  await page.getByLabel("Documents", { exact: true }).setInputFiles({ name: "bees.md", mimeType: "text/markdown", buffer: Buffer.from("Bees tell each other where flowers are by dancing.") });
  await page.getByText("1 passage").waitFor();
  await page.getByRole("checkbox", { name: "Ask Bees" }).check();
  await page.getByRole("button", { name: "Close" }).click();
  await ask(page, "How do bees tell where flowers are?");
  await page.getByText("They dance").waitFor();
  await page.getByRole("button", { name: /bees\.md/ }).click();
  await page.getByText("Bees tell each other").waitFor();
  const told = JSON.stringify(script.asked.at(-1));
  expect(told).toContain("by dancing");
});

test("a share shows the branch to who is signed in, until it is taken back", async () => {
  script.answer = (_, response) => say(response, ["A secret of bread"]);
  const { page } = await chat("scripted");
  await ask(page, "Bread?");
  await page.getByText("A secret of bread").waitFor();
  await page.waitForURL(/\/chat\/.+/);
  await page.getByRole("button", { name: "Share" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Share", exact: true }).click();
  const link = page.getByRole("link", { name: /\/shared\// });
  const address = (await link.getAttribute("href"))!;
  const other = await enter(stead);
  open.push(other.context);
  await other.page.goto(address);
  await other.page.getByText("A secret of bread").waitFor();
  expect(await violations(other.page)).toEqual([]);
  await page.getByRole("button", { name: "Take back" }).click();
  await link.waitFor({ state: "detached" });
  await other.page.reload();
  await other.page.getByText("This does not exist").waitFor();
});

describe.each(["light", "dark"] as const)("in %s", (theme) => {
  test.each([1280, 390])("the chat is accessible, empty and filled and with its dialogs, %i pixels wide", async (width) => {
    script.answer = (_, response) => say(response, ["Some **text**\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\n```json\n{\"a\": [1, \"x\"]}\n```"]);
    const { page } = await chat("scripted", { theme, width });
    expect(await violations(page)).toEqual([]);
    await ask(page, "Fill it");
    await page.locator("table").waitFor();
    await page.getByText(/tokens/).waitFor();
    expect(await violations(page)).toEqual([]);
    await page.getByRole("button", { name: "System prompt and parameters" }).click();
    await page.getByLabel("Temperature").waitFor();
    expect(await violations(page)).toEqual([]);
    await page.getByLabel("System prompt and parameters").getByRole("button", { name: "Close" }).click();
    await page.getByRole("button", { name: "Collections" }).click();
    await page.getByRole("dialog").waitFor();
    expect(await violations(page)).toEqual([]);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(overflow).toBeLessThanOrEqual(0);
  });
});

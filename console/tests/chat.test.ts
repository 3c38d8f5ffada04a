import { describe, expect, test } from "vitest";
import type { Page } from "playwright-core";
import { longThread } from "./bench/filled";
import { stage } from "./stage";
import { chunk, say, until, violations } from "./world";

const { stead, script, visit } = stage((stead, script) => {
  stead.serveModels();
  stead.serveScript(script);
  stead.serveScript(script, "other");
});

async function chat(model: string, look = {}): Promise<{ page: Page; errors: string[] }> {
  const { page, errors } = await visit(undefined, look);
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

/** A tone of so many seconds, as a WAV file of 8,000 samples a second. */
function tone(seconds: number): Buffer {
  const size = 8000 * seconds;
  const wav = Buffer.alloc(44 + size);
  wav.write("RIFF", 0);
  wav.writeUInt32LE(36 + size, 4);
  wav.write("WAVEfmt ", 8);
  for (const [at, value] of [[16, 16], [24, 8000], [28, 8000], [40, size]] as const) wav.writeUInt32LE(value, at);
  for (const [at, value] of [[20, 1], [22, 1], [32, 1], [34, 8]] as const) wav.writeUInt16LE(value, at);
  wav.write("data", 36);
  for (let index = 0; index < size; index++) wav[44 + index] = 128 + Math.round(60 * Math.sin(index / 3));
  return wav;
}

test("answers are read aloud and questions dictated, once there are models that speak and hear", async () => {
  let seconds = 0.4;
  script.answer = async (_, response, request) => {
    if (request.url?.endsWith("/audio/speech")) response.writeHead(200, { "content-type": "audio/wav" }).end(tone(seconds));
    else if (request.url?.endsWith("/audio/transcriptions")) response.writeHead(200, { "content-type": "application/json" }).end('{"text":" What is a bee? "}');
    else await say(response, ["An **insect** that [dances](http://127.0.0.1:1/).\n\n```js\nhum()\n```"]);
  };
  const { page, errors } = await chat("scripted");
  await ask(page, "What?");
  await page.getByRole("button", { name: "Copy the answer" }).waitFor();
  expect(await page.getByRole("button", { name: "Read aloud" }).count()).toBe(0);
  expect(await page.getByRole("button", { name: "Dictate" }).count()).toBe(0);
  stead.apply(`apiVersion: stead.dev/v1alpha1
kind: ModelRoute
metadata: {name: voice}
spec: {targets: [{provider: scripted, model: tts-1}]}
---
apiVersion: stead.dev/v1alpha1
kind: ModelRoute
metadata: {name: ears}
spec: {targets: [{provider: scripted, model: whisper-1}]}
`);
  // How long every sound was that was played to its end.
  await page.evaluate(() => {
    const heard: number[] = ((window as unknown as { heard: number[] }).heard = []);
    const Plain = Audio;
    window.Audio = function (address: string) {
      const sound = new Plain(address);
      sound.addEventListener("ended", () => heard.push(sound.duration));
      return sound;
    } as unknown as typeof Audio;
  });
  const heard = () => page.evaluate(() => (window as unknown as { heard: number[] }).heard);
  await page.getByRole("button", { name: "Read aloud" }).click();
  await until("the sound to be over", async () => (await heard()).length === 1);
  expect((await heard())[0]).toBeCloseTo(0.4, 1);
  expect(script.asked.at(-1)).toMatchObject({ model: "tts-1", input: "An insect that dances.", voice: "alloy" });
  await page.getByRole("button", { name: "Read aloud" }).waitFor();
  // A voice of one's own, and a sound that is stopped.
  await page.getByRole("button", { name: "System prompt and parameters" }).click();
  await page.getByLabel("Voice").fill("nova");
  await page.getByLabel("Voice").blur();
  seconds = 600;
  await page.getByRole("button", { name: "Read aloud" }).click();
  await page.locator("[aria-label='Stop reading aloud'][aria-busy=false]").waitFor();
  expect(script.asked.at(-1)).toMatchObject({ voice: "nova" });
  expect(await violations(page)).toEqual([]);
  await page.getByRole("button", { name: "Stop reading aloud" }).click();
  await page.getByRole("button", { name: "Read aloud" }).waitFor();
  expect(await heard()).toHaveLength(1);
  // What is dictated stands after what was typed, and Escape throws it away.
  await page.getByLabel("Your message").fill("Tell me:");
  await page.getByRole("button", { name: "Dictate" }).click();
  await page.getByRole("button", { name: "Stop dictating" }).waitFor();
  const before = script.asked.length;
  await page.getByLabel("Your message").press("Escape");
  await page.getByRole("button", { name: "Dictate" }).click();
  expect(await violations(page)).toEqual([]);
  await page.getByRole("button", { name: "Stop dictating" }).click();
  await until("what was said", async () => (await page.getByLabel("Your message").inputValue()) === "Tell me: What is a bee?");
  expect(script.asked.length).toBe(before + 1);
  const { form } = script.asked.at(-1) as { form: string };
  expect(form).toMatch(/name="model"\r\n\r\nwhisper-1\r\n/);
  // A recording as browsers make it: WebM begins so.
  expect(form).toMatch(/filename="dictation\.webm"[\s\S]*?\r\n\r\n\x1a\x45\xdf\xa3/);
  await until("the focus on it", async () => (await page.evaluate(() => document.activeElement?.id)) === "composer");
  script.answer = (_, response) => void response.writeHead(400, { "content-type": "application/json" }).end('{"error":{"message":"no such voice"}}');
  await page.getByRole("button", { name: "Read aloud" }).click();
  await page.getByRole("status").getByText(/no such voice/).waitFor();
  await page.getByRole("button", { name: "Read aloud" }).waitFor();
  expect(errors).toEqual([]);
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
  const other = await visit(address);
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
    await page.getByText(/^\d+ tokens?$/).waitFor();
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

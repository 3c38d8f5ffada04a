/** Whole journeys without a pointer: every step is a key, and what has the focus can be seen. */

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import type { Page } from "playwright-core";
import { stage } from "./stage";
import { say, until } from "./world";

const run = promisify(execFile);
const { stead, script, visit } = stage();

/** What has the focus: its role or element, its name, and whether one sees that it has it. */
interface Focus {
  name: string;
  seen: boolean;
  html: string;
}

/** A page that is used by keys. */
class Hands {
  constructor(
    readonly page: Page,
    readonly errors: string[],
  ) {}

  /** Presses keys, one after the other. */
  async press(...keys: string[]): Promise<void> {
    for (const key of keys) await this.page.keyboard.press(key);
  }

  async type(text: string): Promise<void> {
    await this.page.keyboard.type(text);
  }

  /** What has the focus now; nothing where it is lost. */
  async focus(): Promise<Focus | undefined> {
    return this.page.evaluate(() => {
      const node = document.activeElement as HTMLElement | null;
      if (!node || node === document.body) return undefined;
      const labels = "labels" in node ? [...((node as HTMLInputElement).labels ?? [])].map((label) => (label.querySelector("span") ?? label).textContent?.trim()) : [];
      const name = node.getAttribute("aria-label") ?? (labels.length > 0 ? labels.join(" ") : undefined) ?? node.innerText;
      const box = node.getBoundingClientRect();
      const inside = box.width > 0 && box.height > 0 && box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth;
      const outlined = (one: Element) => getComputedStyle(one).outlineStyle !== "none" && parseFloat(getComputedStyle(one).outlineWidth) >= 1;
      // A field shows where one writes; a list and a menu show the row that the keys are at.
      const writes = node.matches("textarea, input:not([type=checkbox]):not([type=radio]):not([type=range])");
      const at = document.getElementById(node.getAttribute("aria-activedescendant") ?? "");
      const row = node.matches("[role=menuitem][data-highlighted]") || (at !== null && outlined(at));
      return { name: (name ?? "").trim().replace(/\s+/g, " "), seen: inside && (outlined(node) || writes || row), html: node.outerHTML.slice(0, 200) };
    });
  }

  /** Has the focus on something that is called so, and seen to be there. */
  async at(name: string | RegExp): Promise<void> {
    const is = (focus: Focus | undefined) => focus !== undefined && (typeof name === "string" ? focus.name === name : name.test(focus.name));
    let last: Focus | undefined;
    await until(`the focus on ${String(name)}`, async () => is((last = await this.focus()))).catch((error: Error) => {
      throw new Error(`${error.message}; it is on ${JSON.stringify(last)}`);
    });
    expect(last).toMatchObject({ seen: true });
  }

  /** Goes on by Tab until the focus is on something that is called so; it is seen wherever it stands. */
  async tab(name: string | RegExp, key: "Tab" | "Shift+Tab" = "Tab"): Promise<void> {
    const passed: string[] = [];
    for (let left = 60; left > 0; left--) {
      await this.press(key);
      const focus = await this.focus();
      if (!focus) {
        passed.push("nothing");
        continue;
      }
      expect(focus).toMatchObject({ seen: true });
      if (typeof name === "string" ? focus.name === name : name.test(focus.name)) return;
      passed.push(focus.name.slice(0, 40));
    }
    throw new Error(`Tab does not lead to ${String(name)}: ${passed.join(" → ")}`);
  }

  /** Opens the palette, types, and takes what it finds first. */
  async command(text: string, found: string): Promise<void> {
    await this.press("Control+k");
    await this.at("Go, act or ask");
    await this.type(text);
    await this.page.getByRole("option", { name: found, exact: false, selected: true }).waitFor();
    await this.press("Enter");
    await this.page.getByRole("combobox", { name: "Go, act or ask" }).waitFor({ state: "detached" });
  }
}

async function begin(path?: string): Promise<Hands> {
  const { page, errors } = await visit(path);
  return new Hands(page, errors);
}

const clipboard = (page: Page) => page.evaluate(() => navigator.clipboard.readText());

test("a model is served, and asked, by keyboard alone", async () => {
  const hands = await begin();
  const { page } = hands;
  await page.getByRole("button", { name: "Serve SmolLM2 135M" }).waitFor();
  // Once past the navigation, which everybody who uses keys would be led through.
  await hands.tab("Skip to the page");
  await hands.press("Enter");
  await hands.tab("Serve SmolLM2 135M");
  await hands.press("Enter");
  // The button is gone; the focus is where it was, on what became of it.
  await hands.at(/Served/);
  await hands.tab("Ask a model", "Shift+Tab");
  await hands.type("Say yes.");
  await hands.press("Enter");
  await page.waitForURL(/\/chat/);
  await page.getByRole("article", { name: /Answer by/ }).getByText(/\d tokens?/).waitFor();
  // What is said next can be written at once.
  await hands.at("Your message");
  expect(hands.errors).toEqual([]);
});

test("a key is made and its curl is copied, which works, by keyboard alone", async () => {
  script.answer = (_, response) => void response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ id: "x", object: "chat.completion", created: 1, model: "any", choices: [{ index: 0, message: { role: "assistant", content: "Heard." }, finish_reason: "stop" }], usage: { prompt_tokens: 3, completion_tokens: 1, total_tokens: 4 } }));
  stead.serveScript(script, "answers");
  const hands = await begin();
  const { page } = hands;
  await hands.press("g", "k");
  await page.waitForURL(/\/keys/);
  await page.getByRole("heading", { level: 1, name: "Keys" }).waitFor();
  await hands.command("new key", "New key");
  await hands.at("Name");
  await hands.type("by-keys");
  await hands.tab("answers");
  await hands.press("Space");
  await hands.tab("Create");
  await hands.press("Enter");
  const dialog = page.getByRole("dialog", { name: "Key by-keys" });
  await dialog.waitFor();
  await hands.tab("Copy the key");
  await hands.press("Enter");
  await until("the key to be copied", async () => (await clipboard(page)).startsWith("sk-stead-"));
  const key = await clipboard(page);
  await hands.tab("Copy curl");
  await hands.press("Enter");
  await until("the command to be copied", async () => (await clipboard(page)).startsWith("curl "));
  const curl = await clipboard(page);
  expect(curl).toContain(key);
  await hands.tab("Test call");
  await hands.press("Enter");
  await dialog.getByText("It works: “Heard.”").waitFor();
  await hands.at("Test call");
  const { stdout } = await run("bash", ["-ec", `${curl} -sS -w '\\n%{http_code}'`]);
  expect(stdout).toContain("Heard.");
  expect(stdout.split("\n").at(-1)).toBe("200");
  await hands.tab("Done");
  await hands.press("Enter");
  await dialog.waitFor({ state: "detached" });
  // The list goes on by keys: the key that was made is found and opened, and closed again.
  await hands.press("/");
  await hands.at("Filter");
  await hands.type("by-keys");
  await hands.press("Escape", "j");
  await hands.at("Keys");
  await hands.press("Enter");
  await page.getByRole("dialog", { name: "by-keys" }).waitFor();
  await hands.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await hands.at("Keys");
  expect(hands.errors).toEqual([]);
});

test("a failed request is found and replayed in the playground, by keyboard alone", async () => {
  stead.serveScript(script, "fails");
  const ask = (content: string) => stead.api("POST", "/v1/chat/completions", { model: "fails", stream: true, messages: [{ role: "user", content }] }).then(async (response) => ({ status: response.status, text: await response.text() }));
  script.answer = (_, response) => say(response, ["fine"]);
  await until("the route to answer", async () => (await ask("Works")).status === 200);
  script.answer = (_, response) => void response.writeHead(500, { "content-type": "application/json" }).end('{"error":{"message":"out of memory"}}');
  expect((await ask("Breaks")).status).toBeGreaterThanOrEqual(500);
  script.answer = (body, response) => say(response, [`answered ${String(body.messages.at(-1)?.content)}`]);
  const hands = await begin();
  const { page } = hands;
  await hands.press("g", "t");
  const list = page.getByRole("listbox", { name: "Traces" });
  await list.getByRole("option").first().waitFor();
  await hands.press("f");
  await hands.at("Filter");
  await hands.type("status:error");
  await hands.press("Enter");
  await page.waitForURL(/q=status%3Aerror/);
  await until("the one that failed", async () => (await list.getByRole("option").count()) === 1);
  // From the filter one goes into the list.
  await hands.press("Escape", "j");
  await hands.at("Traces");
  await hands.press("Enter");
  const trace = page.getByRole("region", { name: "Trace", exact: true });
  await trace.getByText("Breaks").first().waitFor();
  await hands.at("Trace");
  await hands.tab("Replay");
  await hands.press("Enter");
  await page.waitForURL(/\/playground/);
  await until("the question to be there", async () => (await page.getByLabel("Message 1").inputValue().catch(() => "")) === "Breaks");
  await hands.tab("Message 1");
  await hands.press("Control+Enter");
  await page.getByText("answered Breaks").waitFor();
  await hands.at("Message 1");
  expect(hands.errors).toEqual([]);
});

test("a trace is closed where it was opened, by keyboard alone", async () => {
  const hands = await begin("/traces");
  const list = hands.page.getByRole("listbox", { name: "Traces" });
  await list.getByRole("option").first().waitFor();
  await hands.press("j", "j", "Enter");
  await hands.at("Trace");
  const first = hands.page.url();
  await hands.press("k");
  await until("another trace", async () => hands.page.url() !== first);
  await hands.press("Escape");
  await hands.page.getByRole("region", { name: "Trace", exact: true }).waitFor({ state: "detached" });
  await hands.at("Traces");
  expect(hands.errors).toEqual([]);
});

test("two models are compared side by side, in the playground and in a chat, by keyboard alone", async () => {
  stead.serveScript(script, "left");
  stead.serveScript(script, "right");
  let asked = 0;
  script.answer = (_, response) => say(response, [`answer ${++asked}`]);
  const hands = await begin();
  const { page } = hands;
  await until("both to be offered", async () => {
    const { data } = (await (await stead.api("GET", "/v1/models")).json()) as { data: { id: string }[] };
    return ["left", "right"].every((name) => data.some((model) => model.id === name));
  });
  await hands.command("playground", "Playground");
  await page.waitForURL(/\/playground/);
  await page.getByLabel("Message 1").waitFor();
  await hands.press("n");
  const columns = page.getByRole("region", { name: /^Column/ });
  await until("two columns", async () => (await columns.count()) === 2);
  await hands.tab("Message 1");
  await hands.type("Who?");
  // A model is chosen by the first letters of its name.
  for (const name of ["left", "right"]) {
    await hands.tab("Model");
    await hands.type(name);
  }
  await until("both models", async () => /models=left(,|%2C)right/.test(page.url()));
  await hands.press("Control+Enter");
  for (const name of ["left", "right"]) await page.getByRole("region", { name: `Answer by ${name}` }).getByText(/answer [12]/).waitFor();
  expect(asked).toBe(2);
  await hands.command("chat", "Chat");
  await page.waitForURL(/\/chat/);
  await hands.tab(/^Model: /);
  await hands.press("Enter");
  await hands.at("Find a model");
  await hands.type("left");
  await hands.press("Enter");
  await page.getByRole("button", { name: "Model: left" }).waitFor();
  await hands.at("Model: left");
  await hands.press("Enter");
  await hands.at("Find a model");
  await hands.type("right");
  await hands.tab("right beside it");
  await hands.press("Enter");
  await hands.press("Escape");
  await hands.at("Model: left, and right");
  await hands.press("i");
  await hands.at("Your message");
  await hands.type("Who are you?");
  await hands.press("Enter");
  for (const name of ["left", "right"]) await page.getByRole("article", { name: `Answer by ${name}` }).getByText(/answer [34]/).waitFor();
  const boxes = await Promise.all(["left", "right"].map((name) => page.getByRole("article", { name: `Answer by ${name}` }).boundingBox()));
  expect(boxes[0]!.y).toBe(boxes[1]!.y);
  await page.getByRole("button", { name: "Go on with this" }).waitFor();
  const other = (await page.getByRole("article", { name: "Answer by left" }).getByText("goes on").count()) === 1 ? "right" : "left";
  await hands.tab("Go on with this", "Shift+Tab");
  await hands.press("Enter");
  await page.getByRole("article", { name: `Answer by ${other}` }).getByText("goes on").waitFor();
  // The button is gone; the focus is still seen in the answer that was chosen.
  await hands.at(`Answer by ${other}`);
  await hands.press("i");
  await hands.at("Your message");
  expect(hands.errors).toEqual([]);
});

test("a route's split is changed, seen as a difference and applied, by keyboard alone", async () => {
  stead.serveScript(script, "old");
  stead.serveScript(script, "fresh");
  const kind = "/k8s/apis/stead.dev/v1alpha1/namespaces/default/modelroutes";
  const targets = [
    { provider: "old", model: "any", weight: 70 },
    { provider: "fresh", model: "any", weight: 30 },
  ];
  const made = await stead.api("POST", kind, { apiVersion: "stead.dev/v1alpha1", kind: "ModelRoute", metadata: { name: "shared" }, spec: { targets } });
  expect(made.status).toBe(201);
  const hands = await begin();
  const { page } = hands;
  await hands.command("routes", "Routes");
  await page.waitForURL(/\/routes/);
  const list = page.getByRole("listbox", { name: "Routes" });
  await list.getByRole("option").first().waitFor();
  await hands.press("/");
  await hands.at("Filter");
  await hands.type("shared");
  await until("the route to be found", async () => (await list.getByRole("option").count()) === 1);
  await hands.press("Escape", "j");
  await hands.at("Routes");
  await hands.press("Enter");
  await page.waitForURL(/\/routes\/shared/);
  const slider = page.getByRole("slider");
  await slider.waitFor();
  await hands.tab(/^Between /);
  await hands.press("Shift+ArrowLeft", "Shift+ArrowLeft");
  await until("the split to be moved", async () => (await slider.getAttribute("aria-valuenow")) === "50");
  await hands.tab("Review changes");
  await hands.press("Enter");
  await page.locator("[data-diff]").getByText("weight: 50").first().waitFor();
  await hands.tab("Apply");
  await hands.press("Enter");
  await until("it to be stored", async () => {
    const stored = (await (await stead.api("GET", `${kind}/shared`)).json()) as { spec: { targets: { weight: number }[] } };
    return stored.spec.targets[0]?.weight === 50;
  });
  expect(hands.errors).toEqual([]);
});

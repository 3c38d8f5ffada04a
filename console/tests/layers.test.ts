import { readFileSync, readdirSync, statSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Page } from "playwright-core";
import { PAGES } from "./pages";
import { Script, Stead, close, enter, violations } from "./world";

const stead = new Stead();
let script: Script;
let pages: string[] = [];
/** Whoever fetches a model from it waits. */
const endless = createServer((_, response) => response.writeHead(200, { "content-length": 1_000_000 }).write("GGUF\x03\0\0\0"));

beforeAll(async () => {
  await stead.start();
  script = await new Script().start();
  for (const name of ["chat", "other"]) stead.serveScript(script, name);
  await new Promise<void>((resolve) => endless.listen(0, "127.0.0.1", resolve));
  stead.apply(`apiVersion: stead.dev/v1alpha1
kind: Quota
metadata: {name: budget}
spec: {subject: {kind: Project}, hard: false, limits: [{per: month, spendUsd: 250}]}
---
apiVersion: stead.dev/v1alpha1
kind: Guardrail
metadata: {name: privacy}
spec: {stages: [Input], rules: [{name: personal-data, action: Redact, detectors: [pii]}]}
---
apiVersion: stead.dev/v1alpha1
kind: ApiKey
metadata: {name: bot}
spec: {writeToSecretRef: {name: bot-key}}
---
apiVersion: stead.dev/v1alpha1
kind: Model
metadata: {name: slow}
spec: {sources: ['http://127.0.0.1:${(endless.address() as AddressInfo).port}/a.gguf#sha256=${"0".repeat(64)}'], network: Private}
`);
  const thread = { title: "A chat", chat: { models: ["chat"], history: { currentId: "b", messages: { a: { role: "user", content: "Hello" }, b: { role: "assistant", content: "Gladly.", parentId: "a", model: "chat" } } } } };
  const [made] = (await (await stead.api("POST", "/api/threads/import", [thread])).json()) as { id: string }[];
  await stead.api("POST", "/v1/chat/completions", { model: "chat", messages: [{ role: "user", content: "Hello" }] }).then((answer) => answer.text());
  await stead.api("PUT", "/opik/api/v1/private/datasets/items", { dataset_name: "sums", items: [{ id: crypto.randomUUID(), source: "sdk", data: { input: "1 + 1" } }] });
  await stead.api("POST", "/api/prompts", { name: "greeting", messages: [{ role: "user", content: "Hello {{name}}" }] });
  await stead.api("POST", "/opik/api/v1/private/traces/batch", { traces: [{ id: uuid7(), name: "turn", project_name: "talks", thread_id: "talk", start_time: new Date().toISOString(), input: { text: "Hello" }, output: { text: "Gladly." } }] });
  pages = [...PAGES, `/chat/${made!.id}`, "/routes/chat", "/providers/chat", "/keys/bot", "/quotas/budget", "/guardrails/privacy", "/prompts/greeting", "/evaluations/datasets", "/kinds/stead.dev/modelroutes"];
});
afterAll(async () => {
  script.end();
  endless.closeAllConnections();
  endless.close();
  await close();
  await stead.end();
});

function uuid7(): string {
  const time = Date.now().toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-000000000001`;
}

const LAYER = "[role=dialog]:visible, [role=alertdialog]:visible, [role=menu]:visible, [data-popover-content]:visible";
/** What does something instead of opening something. */
const ACTS = /^(Temporary|Pin|Export|Open in|All$|Errors$|Slow$|Costly$|Serve|Run(?! on)|Send|Ask|Stop|Download|Sign out|Test|Refresh|Enable|Disable|Copy|Previous|Next|Close|Clear|Annotate)/;

/** The layer on top, by its title. */
async function top(page: Page): Promise<string | undefined> {
  const layers = page.locator(LAYER);
  if ((await layers.count()) === 0) return undefined;
  return layers.last().evaluate((layer) => {
    const titled = layer.getAttribute("aria-labelledby");
    const title = (titled && document.getElementById(titled)?.textContent) || layer.getAttribute("aria-label") || layer.textContent?.slice(0, 40) || "";
    return `${layer.getAttribute("role")} ${title.trim()}`;
  });
}

/** Closes what is open but for so many layers that belong to the page. */
async function shut(page: Page, own: number): Promise<void> {
  for (let left = 4; left > 0 && (await page.locator(LAYER).count()) > own; left--) {
    await page.keyboard.press("Escape");
    await page.waitForTimeout(50);
  }
}

/** What is clicked, one after the other. */
type Clicks = { role: "button" | "menuitem"; name: string }[];

async function go(page: Page, path: string, clicks: Clicks, own: number, patience: number): Promise<void> {
  await shut(page, own);
  const now = new URL(page.url());
  if (now.pathname !== path && now.pathname + now.search !== path) {
    await page.goto(path);
    await page.getByRole("heading", { level: 1 }).first().waitFor({ state: "attached" });
    await page.waitForLoadState("networkidle");
  }
  for (const { role, name } of clicks) {
    const before = await page.locator(LAYER).count();
    await page.getByRole(role, { name, exact: true }).first().click({ timeout: 5 * patience });
    await page.locator(LAYER).nth(before).waitFor({ timeout: patience }).catch(() => {});
  }
}

/** What can be clicked on a page, or in the layer on top of it, by name. */
async function names(page: Page, role: "button" | "menuitem", within: string): Promise<string[]> {
  const all = await page.locator(within).last().getByRole(role).all();
  const named = await Promise.all(all.map(async (one) => ((await one.isVisible()) && (await one.isEnabled()) ? ((await one.getAttribute("aria-label")) ?? (await one.innerText())).trim() : "")));
  return [...new Set(named)].filter((name) => name !== "" && !name.includes("\n") && !ACTS.test(name));
}

/** What has been opened, and what axe found there. */
class Found {
  readonly layers = new Set<string>();
  readonly wrong: string[] = [];
  /** How long a click may take to show something, in milliseconds; most show nothing. */
  patience = 200;

  /** Clicks, and looks at the layer that this opens, if it is a new one; says which it is. */
  async look(page: Page, path: string, clicks: Clicks, own: number): Promise<string | undefined> {
    try {
      await go(page, path, clicks, own, this.patience);
    } catch {
      return undefined;
    }
    const layer = await top(page);
    if (layer === undefined || this.layers.has(layer)) return undefined;
    this.layers.add(layer);
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      // Colours change within a moment.
      await page.waitForTimeout(300);
      for (const violation of await violations(page)) this.wrong.push(`${colorScheme} ${path} ${layer}: ${violation}`);
    }
    await page.emulateMedia({ colorScheme: "light" });
    return layer;
  }

  /** Opens what the buttons of a page open, and what the items of a menu do that they show. */
  async explore(page: Page, path: string): Promise<void> {
    await go(page, path, [], 0, this.patience);
    // What an address itself opens is as a page.
    await page.waitForTimeout(300);
    const own = await page.locator(LAYER).count();
    if (own > 0) await this.look(page, path, [], own);
    for (const name of await names(page, "button", own > 0 ? LAYER : "main")) {
      const button = { role: "button" as const, name };
      const layer = await this.look(page, path, [button], own);
      if (!layer?.startsWith("menu")) continue;
      // A chat is deleted at once, as it can be taken back.
      const items = (await names(page, "menuitem", LAYER)).filter((item) => !(path.startsWith("/chat") && item.startsWith("Delete")));
      for (const item of items) await this.look(page, path, [button, { role: "menuitem", name: item }], own);
    }
  }
}

/** The titles of all dialogs in the source, as patterns. */
function titles(folder: string): { file: string; title: RegExp }[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) return titles(path);
    if (!name.endsWith(".svelte")) return [];
    const text = readFileSync(path, "utf8");
    return [...text.matchAll(/<(?:Dialog|FormDialog|Confirm)\b[^>]*?\btitle="([^"]+)"/g)].map((match) => {
      const pattern = match[1]!.split(/\{[^}]*\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
      return { file: name, title: new RegExp(`^(alert)?dialog ${pattern.join(".*")}$`) };
    });
  });
}

/** Dialogs that no button shows here; their own tests ask axe. */
const ELSEWHERE = new Set(["KeySheet.svelte", "CollectionsDialog.svelte"]);

test("axe finds nothing in any dialog or menu, light and dark, and every dialog of the source is opened", async () => {
  const { page, context } = await enter(stead);
  const found = new Found();
  // What is chosen in a list stands beside it, at an address of its own.
  for (const list of ["/activity", "/threads", "/traces", "/evaluations/datasets"]) {
    await page.goto(list);
    if (list === "/threads") await page.getByLabel("Application").selectOption("talks");
    await page.locator("main").getByRole("listbox").getByRole("option").first().click();
    await page.waitForTimeout(500);
    const { pathname, search } = new URL(page.url());
    pages.push(pathname + search);
  }
  const all = titles(join(import.meta.dirname, "../src")).filter(({ file }) => !ELSEWHERE.has(file));
  const missing = () => all.filter(({ title }) => ![...found.layers].some((layer) => title.test(layer))).map(({ file, title }) => `${file}: ${title.source}`);
  for (const path of pages) await found.explore(page, path);
  // A machine that is busy is given more time.
  found.patience = 2_000;
  for (const path of pages) if (missing().length > 0) await found.explore(page, path);
  await context.close();
  expect(found.wrong).toEqual([]);
  expect(missing()).toEqual([]);
}, 900_000);

/** `just bench console`: how fast the pages are, in the browser that people use, before the real program. */

import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";
import { CHROMIUM, Script, Stead, chunk, close, enter, say, until } from "../world";
import { PAGES } from "../pages";
import { fill } from "./filled";
import { p95, tell, write } from "./report";

const LOADS = Number(process.env["LOADS"] ?? 20);
const LIGHTHOUSE = process.env["LIGHTHOUSE"];
const HOUR = 3_600_000;
const stead = new Stead();
let script: Script;
let plain: Server;
let context: BrowserContext;
let page: Page;
let filled: Awaited<ReturnType<typeof fill>>;

beforeAll(async () => {
  await stead.start();
  script = await new Script().start();
  stead.serveModels();
  stead.serveScript(script);
  script.answer = (_, response) => say(response, ["fine"]);
  plain = createServer((_, response) => response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>plain</title><p>Plain</p>"));
  await new Promise<void>((resolve) => plain.listen(0, "127.0.0.1", resolve));
  filled = await fill(stead);
  ({ page, context } = await enter(stead));
}, HOUR);
afterAll(async () => {
  const missed = write(process.env["BENCH"]!);
  await context?.close();
  await close();
  plain?.close();
  script?.end();
  await stead.end();
  expect(missed.map((figure) => `${figure.what}: ${figure.measured} ${figure.unit}`)).toEqual([]);
}, HOUR);

interface Seen {
  paint: number;
  shift: number;
  /** The beginnings of the elements that moved. */
  moved: string[];
}

/** First contentful paint in milliseconds and cumulative layout shift of one load with an empty cache. */
async function load(url: string): Promise<Seen> {
  const window = await context.browser()!.newContext({ storageState: await context.storageState(), viewport: { width: 1280, height: 800 } });
  const fresh = await window.newPage();
  await fresh.addInitScript(() => {
    const seen: Seen = { paint: 0, shift: 0, moved: [] };
    (globalThis as never as { seen: Seen }).seen = seen;
    new PerformanceObserver((list) => list.getEntriesByName("first-contentful-paint").forEach((entry) => (seen.paint = entry.startTime))).observe({ type: "paint", buffered: true });
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as never as { value: number; hadRecentInput: boolean; sources: { node?: Element }[] }[]) {
        if (entry.hadRecentInput) continue;
        seen.shift += entry.value;
        seen.moved.push(...entry.sources.map(({ node }) => (node?.outerHTML ?? "").slice(0, 120)));
      }
    }).observe({ type: "layout-shift", buffered: true });
  });
  await fresh.goto(url, { waitUntil: "load" });
  // Live pages keep a stream open, so the network is never idle: what shifts, shifts within a second.
  await fresh.waitForTimeout(1000);
  const seen = await fresh.evaluate(() => (globalThis as never as { seen: Seen }).seen);
  await window.close();
  return seen;
}

test("pages are painted at once, and nothing moves afterwards", { timeout: HOUR }, async () => {
  const reference: number[] = [];
  for (let index = 0; index < LOADS; index++) reference.push((await load(`http://127.0.0.1:${(plain.address() as AddressInfo).port}/`)).paint);
  tell({ what: "first contentful paint of a page of one word, p95", measured: p95(reference), unit: "ms" });
  const paints: number[] = [];
  for (const path of PAGES) {
    const seen: Seen[] = [];
    for (let index = 0; index < LOADS; index++) seen.push(await load(stead.address + path));
    paints.push(...seen.map(({ paint }) => paint));
    tell({ what: `first contentful paint of ${path}, p95`, measured: p95(seen.map(({ paint }) => paint)), unit: "ms", limit: { most: 500 } });
    for (const { moved } of seen) if (moved.length > 0) console.log(`   ${path}: moved: ${moved.join(" ")}`);
    tell({ what: `layout shift of ${path}, worst`, measured: Math.max(...seen.map(({ shift }) => shift)), unit: "", limit: { most: 0.01 } });
  }
  tell({ what: "first contentful paint of all pages, p95, of the plain page's", measured: p95(paints) / p95(reference), unit: "×" });
});

/** The times between frames while something happens, in milliseconds. */
async function frames(happens: () => Promise<void>): Promise<number[]> {
  await page.evaluate(() => {
    const times: number[] = [];
    (globalThis as never as { times: number[] }).times = times;
    let last = performance.now();
    const next = (now: number) => {
      times.push(now - last);
      last = now;
      if ((globalThis as never as { times?: number[] }).times === times) requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
  });
  await happens();
  return page.evaluate(() => {
    const holder = globalThis as never as { times: number[] | undefined };
    const times = holder.times ?? [];
    holder.times = undefined;
    return times.slice(2);
  });
}

async function conversation(): Promise<void> {
  await page.evaluate(() => localStorage.setItem("stead.chat.model", "scripted"));
  await page.goto("/chat");
  await page.getByRole("button", { name: "Model: scripted" }).waitFor();
}

/** An answer of so many words, 200 a second if they are to be paced. */
async function answer(words: number, paced: boolean): Promise<void> {
  script.answer = async (_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    const start = Date.now();
    for (let index = 0; index < words; index++) {
      response.write(chunk({ content: index % 40 === 39 ? "end.\n\n" : index % 15 === 0 ? "**bold** " : `word${index} ` }));
      const ahead = index * 5 - (Date.now() - start);
      if (paced ? ahead > 0 : index % 100 === 99) await new Promise((resolve) => setTimeout(resolve, paced ? ahead : 1));
    }
    response.write(chunk({ content: "The very end" }));
    response.end("data: [DONE]\n\n");
  };
  await page.getByLabel("Your message").fill("Go on");
  await page.keyboard.press("Enter");
  await page.getByText("The very end").last().waitFor({ timeout: 240_000 });
}

test("an answer of 200 tokens a second streams smoothly, and 10,000 chunks leave little behind", { timeout: HOUR }, async () => {
  const idle = await frames(() => page.waitForTimeout(3000));
  tell({ what: "frame of an idle page, p95", measured: p95(idle), unit: "ms" });
  await conversation();
  const times = await frames(() => answer(2000, true));
  tell({ what: "frame while 200 tokens/s are streamed, p95", measured: p95(times), unit: "ms", limit: { most: 20 } });
  await conversation();
  await answer(10_000, false);
  const session = await context.newCDPSession(page);
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = (await session.send("Runtime.getHeapUsage")) as { usedSize: number };
  tell({ what: "heap after 10,000 streamed chunks", measured: usedSize / 1e6, unit: "MB", limit: { most: 60 } });
});

test("lists of 10,000 rows scroll smoothly", { timeout: HOUR }, async () => {
  await page.goto("/kinds/core/configmaps?project=crowd");
  await page.getByRole("option", { name: /c-00000/ }).waitFor();
  await page.mouse.move(640, 500);
  const times = await frames(async () => {
    for (let index = 0; index < 150; index++) {
      await page.mouse.wheel(0, 400);
      await page.waitForTimeout(16);
    }
  });
  tell({ what: "frame while a list of 10,000 scrolls, p95", measured: p95(times), unit: "ms", limit: { most: 22 } });
});

/** The median time of opening something, in milliseconds, by the page's own clock. */
async function opening(from: string, click: () => Promise<void>, there: () => Promise<void>): Promise<number> {
  const times: number[] = [];
  for (let index = 0; index < 7; index++) {
    await page.goto(from);
    await page.waitForTimeout(500);
    const start = performance.now();
    await click();
    await there();
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[3] ?? Number.NaN;
}

test("what is large opens quickly", { timeout: HOUR }, async () => {
  // As a link of the page does it, without a load of the page.
  const go = (path: string) => () => page.evaluate((to) => {
    history.pushState({}, "", to);
    dispatchEvent(new PopStateEvent("popstate"));
  }, path);
  const trace = await opening("/traces", go(`/traces/${filled.trace}`), () => page.getByRole("treeitem").nth(10).waitFor());
  tell({ what: "a trace of 10,000 spans, until its tree takes keys", measured: trace, unit: "ms", limit: { most: 500 } });
  const chat = await opening("/chat", go(`/chat/${filled.thread}`), () => page.getByText("Message 999 of many").waitFor());
  tell({ what: "a chat of 1,000 messages, until its end is read", measured: chat, unit: "ms", limit: { most: 300 } });
});

interface Scores {
  lhr: { categories: Record<string, { score: number | null }>; audits: Record<string, { score: number | null; title: string; scoreDisplayMode: string }>; runtimeError?: { message: string } };
}

test.skipIf(!LIGHTHOUSE || LIGHTHOUSE === "off")("Lighthouse is content", { timeout: HOUR }, async () => {
  const folder = pathToFileURL(`${LIGHTHOUSE}/node_modules/lighthouse/core/`);
  const lighthouse = ((await import(/* @vite-ignore */ new URL("index.js", folder).href)) as { default: (url: string, flags: object, config: object) => Promise<Scores> }).default;
  const desktop = ((await import(/* @vite-ignore */ new URL("config/desktop-config.js", folder).href)) as { default: object }).default;
  const cookies = (await context.cookies()).map(({ name, value }) => `${name}=${value}`).join("; ");
  const port = 20_000 + Math.floor(Math.random() * 20_000);
  const browser: Browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-dev-shm-usage", `--remote-debugging-port=${port}`] });
  const limits = { performance: 95, accessibility: 100, "best-practices": 95 } as const;
  for (const path of PAGES) {
    const { lhr } = await lighthouse(stead.address + path, { port, logLevel: "error", onlyCategories: Object.keys(limits), extraHeaders: { Cookie: cookies }, maxWaitForLoad: 15_000 }, desktop);
    if (lhr.runtimeError) throw new Error(`${path}: ${lhr.runtimeError.message}`);
    for (const [category, least] of Object.entries(limits)) tell({ what: `Lighthouse, ${category}, ${path}`, measured: Math.round((lhr.categories[category]?.score ?? 0) * 100), unit: "", limit: { least } });
    for (const [id, audit] of Object.entries(lhr.audits)) if (audit.scoreDisplayMode === "binary" && audit.score === 0) console.log(`   ${path}: ${id}: ${audit.title}`);
  }
  await browser.close();
});

/** The real program with the real embedded model, a scripted provider for the hard cases, and a browser. */

import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AddressInfo } from "node:net";
import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";

const root = join(import.meta.dirname, "../..");
const target = process.env["CARGO_TARGET_DIR"] ?? join(root, "target");
/** The program. */
export const BINARY = process.env["STEAD_BINARY"] ?? join(target, "debug/stead");
const MODEL = process.env["STEAD_TEST_MODEL"] ?? join(process.env["HOME"] ?? "", ".cache/stead/models/smollm2-135m.gguf");
const EMBEDDING = process.env["STEAD_TEST_EMBEDDING_MODEL"] ?? join(process.env["HOME"] ?? "", ".cache/stead/models/all-minilm-l6-v2.safetensors");
export const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";

/** How long something may take on a busy machine, in milliseconds. */
export const SOON = 60_000;

/** Tries until something is so. */
export async function until<T>(what: string, look: () => Promise<T | undefined | false>): Promise<T> {
  const end = Date.now() + SOON;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

export class Stead {
  readonly folder = mkdtempSync(join(tmpdir(), "stead-console-"));
  /** Where it keeps its data. */
  readonly data = join(this.folder, "data");
  address = "";
  #port = 0;
  #process: ChildProcess | undefined;

  async start(): Promise<void> {
    const listen = `127.0.0.1:${this.#port}`;
    this.#process = spawn(BINARY, ["up", "--data", this.data, "--listen", listen, "--no-discover", "--no-default-model"], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH: process.env["PATH"], HOME: process.env["HOME"], STEAD_LOG: "error" },
    });
    let told = "";
    this.#process.stdout?.on("data", (text) => (told += text));
    this.#process.stderr?.on("data", (text) => (told += text));
    await until("the server to be up", async () => {
      if (this.#process?.exitCode !== null) throw new Error(`the server ended: ${told}`);
      return told.includes("Stead is up");
    });
    this.address = JSON.parse(readFileSync(join(this.data, "run/server.json"), "utf8")).http;
    this.#port = Number(new URL(this.address).port);
  }

  /** SIGKILL, as a crash would. */
  async kill(): Promise<void> {
    const ended = new Promise((resolve) => this.#process?.once("exit", resolve));
    this.#process?.kill("SIGKILL");
    await ended;
  }

  async end(): Promise<void> {
    const ended = new Promise((resolve) => this.#process?.once("exit", resolve));
    this.#process?.kill("SIGKILL");
    await ended;
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Runs a command of the program. */
  run(...words: string[]): string {
    return execFileSync(BINARY, ["--data", this.data, ...words], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  }

  apply(manifest: string): void {
    const file = join(this.folder, "manifest.yaml");
    writeFileSync(file, manifest);
    this.run("apply", "-f", file);
  }

  /** Serves the real chat model, and the real embedding model, from their files. */
  serveModels(): void {
    this.apply(`apiVersion: stead.dev/v1alpha1
kind: Model
metadata: {name: smollm2-135m}
spec: {sources: ['file:${MODEL}']}
---
apiVersion: stead.dev/v1alpha1
kind: Model
metadata: {name: minilm}
spec: {sources: ['file:${EMBEDDING}']}
---
apiVersion: stead.dev/v1alpha1
kind: ModelProvider
metadata: {name: local}
spec: {type: embedded}
---
apiVersion: stead.dev/v1alpha1
kind: ModelRoute
metadata: {name: chat}
spec: {targets: [{provider: local, model: smollm2-135m}]}
---
apiVersion: stead.dev/v1alpha1
kind: ModelRoute
metadata: {name: embeddings}
spec: {targets: [{provider: local, model: minilm}]}
`);
    for (const name of ["smollm2-135m", "minilm"]) this.run("wait", `model/${name}`, "--for=condition=Ready", "--timeout=120s");
  }

  /** Declares a scripted provider under the name of a route. */
  serveScript(script: Script, route = "scripted"): void {
    this.apply(`apiVersion: stead.dev/v1alpha1
kind: ModelProvider
metadata: {name: ${route}}
spec: {type: openai-compatible, baseUrl: '${script.address}/v1', network: Private}
---
apiVersion: stead.dev/v1alpha1
kind: ModelRoute
metadata: {name: ${route}}
spec: {targets: [{provider: ${route}, model: any}]}
`);
  }

  loginLink(): string {
    const told = this.run("login-link");
    const link = /http\S+/.exec(told)?.[0];
    if (!link) throw new Error(`no link: ${told}`);
    return link;
  }

  /** A request as the administrator. */
  async api(method: string, path: string, body?: unknown): Promise<Response> {
    const token = readFileSync(join(this.data, "keys/admin.token"), "utf8").trim();
    return fetch(this.address + path, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }
}

export type Answering = (body: { messages: { role: string; content: unknown }[] }, response: ServerResponse, request: IncomingMessage) => void | Promise<void>;

/** A provider that answers what a test wants. */
export class Script {
  address = "";
  /** What it was asked. */
  asked: unknown[] = [];
  answer: Answering = (_, response) => say(response, ["Hello."]);
  #server: Server;

  constructor(models: readonly string[] = ["any"]) {
    this.#server = createServer(async (request, response) => {
      const pieces: Buffer[] = [];
      for await (const piece of request) pieces.push(piece as Buffer);
      if (request.method !== "POST") {
        response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ object: "list", data: models.map((id) => ({ id, object: "model" })) }));
        return;
      }
      const whole = Buffer.concat(pieces);
      // A form is kept as it came, one byte a letter.
      const body = request.headers["content-type"]?.includes("json") ? JSON.parse(whole.toString()) : { form: whole.toString("latin1") };
      this.asked.push(body);
      await this.answer(body, response, request);
    });
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    this.address = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return this;
  }

  end(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

/** A chunk of a streamed chat. */
export function chunk(delta: object, more: object = {}): string {
  return `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", created: 1, model: "any", choices: [{ index: 0, delta, finish_reason: null }], ...more })}\n\n`;
}

/** Answers with pieces of text, all at once or with a pause between them, and ends as it should. */
export async function say(response: ServerResponse, pieces: string[], pause = 0): Promise<void> {
  response.writeHead(200, { "content-type": "text/event-stream" });
  for (const content of pieces) {
    response.write(chunk({ content }));
    if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
  }
  response.write(`data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", created: 1, model: "any", choices: [{ index: 0, delta: {}, finish_reason: "stop" }] })}\n\n`);
  response.write(`data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", created: 1, model: "any", choices: [], usage: { prompt_tokens: 5, completion_tokens: pieces.length, total_tokens: 5 + pieces.length } })}\n\n`);
  response.end("data: [DONE]\n\n");
}

let browser: Browser | undefined;

export async function launch(): Promise<Browser> {
  browser ??= await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-dev-shm-usage", "--use-fake-device-for-media-stream"] });
  return browser;
}

export async function close(): Promise<void> {
  await browser?.close();
  browser = undefined;
}

export interface Look {
  theme?: "light" | "dark";
  width?: number;
  height?: number;
}

/** A window that is signed in. What a page reports as an error fails the test that asks for `errors`. */
export async function enter(stead: Stead, look: Look = {}): Promise<{ page: Page; context: BrowserContext; errors: string[] }> {
  const context = await (await launch()).newContext({
    viewport: { width: look.width ?? 1280, height: look.height ?? 800 },
    colorScheme: look.theme ?? "light",
    permissions: ["clipboard-read", "clipboard-write", "microphone"],
    baseURL: stead.address,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(SOON);
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error" && !/Failed to load resource/.test(message.text())) errors.push(message.text());
  });
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(stead.address) && !/^(data|blob):/.test(url)) errors.push(`a request to another host: ${url}`);
  });
  await page.goto(stead.loginLink());
  await page.waitForSelector("nav[aria-label=Pages]", { state: look.width && look.width < 768 ? "attached" : "visible" }).catch(async () => page.waitForSelector("main"));
  return { page, context, errors };
}

const axePath = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

/** What is not accessible on a page, as axe tells it: one line a violation. */
export async function violations(page: Page): Promise<string[]> {
  const source = readFileSync(axePath, "utf8");
  await page.evaluate(source);
  return page.evaluate(async () => {
    const axe = (window as unknown as { axe: { run: (node: Document, options: object) => Promise<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }> } }).axe;
    const result = await axe.run(document, { resultTypes: ["violations"] });
    return result.violations.flatMap((violation) => violation.nodes.map((node) => `${violation.id}: ${node.html.slice(0, 200)} ${node.failureSummary.replace(/\s+/g, " ").slice(0, 300)}`));
  });
}

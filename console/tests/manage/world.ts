/** The real program with a scripted provider of several models, and pages in Chromium that are signed in to it. */

import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { BrowserContext, Page } from "playwright-core";
import { expect } from "vitest";
import { BINARY, SOON, Script, Stead, close, launch, until, violations, type Answering } from "../world";

export { until };

const run = promisify(execFile);
const MODELS = ["small", "large", "huge"];

/** What the provider answers a chat; 500 when the question asks for it. */
const answer: Answering = (body, response) => {
  const { model } = body as unknown as { model: string };
  response.setHeader("content-type", "application/json");
  if (JSON.stringify(body).includes("please fail")) {
    response.statusCode = 500;
    response.end(JSON.stringify({ error: { message: "the accelerator is out of memory", type: "server_error" } }));
    return;
  }
  const message = { role: "assistant", content: `${model} says four.` };
  const usage = { prompt_tokens: 100, completion_tokens: 20, total_tokens: 120 };
  response.end(JSON.stringify({ id: "x", object: "chat.completion", created: 1, model, choices: [{ index: 0, message, finish_reason: "stop" }], usage }));
};

export class World {
  readonly #server = new Stead();
  readonly #provider = new Script(MODELS);
  #state: Awaited<ReturnType<BrowserContext["storageState"]>> | undefined;

  static async start(): Promise<World> {
    const world = new World();
    world.#provider.answer = answer;
    await world.#provider.start();
    await world.#server.start();
    const page = await world.#context({}).then((context) => context.newPage());
    await page.goto(world.#server.loginLink());
    await page.getByRole("navigation", { name: "Pages" }).waitFor({ timeout: SOON });
    world.#state = await page.context().storageState();
    await page.context().close();
    return world;
  }

  async stop(): Promise<void> {
    this.#provider.end();
    await close();
    await this.#server.end();
  }

  get address(): string {
    return this.#server.address;
  }

  /** The folder of the server's data. */
  get home(): string {
    return this.#server.data;
  }

  get providerUrl(): string {
    return `${this.#provider.address}/v1`;
  }

  get #env(): NodeJS.ProcessEnv {
    return { ...process.env, STEAD_HOME: this.home, NO_COLOR: "1" };
  }

  /** A command of the CLI; its output. */
  async stead(...words: string[]): Promise<string> {
    return (await run(BINARY, words, { env: this.#env, maxBuffer: 64 << 20 })).stdout;
  }

  /** A command as the console shows it, in a shell. */
  async shell(command: string): Promise<string> {
    const text = `stead() { "${BINARY}" "$@"; }\n${command}`;
    return (await run("bash", ["-ec", text], { env: this.#env })).stdout;
  }

  async apply(...objects: object[]): Promise<void> {
    const path = join(this.home, "objects.yaml");
    writeFileSync(path, objects.map((object) => JSON.stringify(object)).join("\n---\n"));
    await this.stead("apply", "-f", path);
  }

  /** Makes many objects of a kind at once, by the resource API. */
  async make(path: string, objects: object[]): Promise<void> {
    const left = [...objects];
    const worker = async () => {
      for (let object = left.pop(); object; object = left.pop()) {
        const response = await this.#server.api("POST", `/k8s/${path}`, object);
        expect(response.status).toBe(201);
      }
    };
    await Promise.all(Array.from({ length: 16 }, worker));
  }

  async object(kind: string, name: string): Promise<any> {
    return JSON.parse(await this.stead("get", kind, name, "-o", "json"));
  }

  async #context(options: { dark?: boolean; narrow?: boolean }): Promise<BrowserContext> {
    return (await launch()).newContext({
      baseURL: this.address,
      viewport: options.narrow ? { width: 390, height: 844 } : { width: 1280, height: 800 },
      colorScheme: options.dark ? "dark" : "light",
      ...(this.#state ? { storageState: this.#state } : {}),
    });
  }

  /** A page that is signed in; what goes wrong in it fails the test. */
  async page(path: string, options: { dark?: boolean; narrow?: boolean } = {}): Promise<Visit> {
    const context = await this.#context(options);
    const page = await context.newPage();
    page.setDefaultTimeout(SOON);
    const visit = new Visit(page);
    page.on("pageerror", (error) => visit.errors.push(error.message));
    page.on("dialog", (dialog) => {
      visit.errors.push(`a dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    await page.goto(path);
    await page.getByRole("heading", { level: 1 }).waitFor();
    return visit;
  }
}

/** A page with what went wrong in it, and how often was clicked. */
export class Visit {
  readonly errors: string[] = [];
  clicks = 0;
  constructor(readonly page: Page) {}

  async click(role: Parameters<Page["getByRole"]>[0], name: string | RegExp): Promise<void> {
    this.clicks += 1;
    await this.page.getByRole(role, { name, exact: typeof name === "string" }).first().click();
  }

  /** A field of the open dialog. */
  field(name: string | RegExp) {
    return this.page.getByRole("dialog").getByLabel(name, { exact: typeof name === "string" });
  }

  /** What axe finds on the page as it is. */
  violations(): Promise<string[]> {
    return violations(this.page);
  }

  /** Whether something sticks out sideways. */
  async overflow(): Promise<number> {
    return this.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  }

  async close(): Promise<void> {
    await this.page.context().close();
    expect(this.errors).toEqual([]);
  }
}

/** axe finds nothing on the page, light and dark, and nothing sticks out where the window is 390 pixels wide. */
export async function isAccessible(world: World, path: string): Promise<void> {
  for (const dark of [false, true]) {
    const visit = await world.page(path, { dark });
    await visit.page.waitForLoadState("networkidle");
    expect(await visit.violations()).toEqual([]);
    await visit.close();
  }
  const narrow = await world.page(path, { narrow: true });
  await narrow.page.waitForLoadState("networkidle");
  expect(await narrow.overflow()).toBeLessThanOrEqual(0);
  await narrow.close();
}

const thing = (kind: string, name: string, spec: object, namespace = "default") => ({
  apiVersion: "stead.dev/v1alpha1",
  kind,
  metadata: { name, namespace },
  spec,
});
export const providerOf = (world: World, name: string) => thing("ModelProvider", name, { type: "openai-compatible", baseUrl: world.providerUrl, network: "Private", models: MODELS });
export const routeOf = (name: string, spec: object) => thing("ModelRoute", name, spec);
export { thing };

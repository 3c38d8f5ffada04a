import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { World, isAccessible, thing, until } from "./world";

let world: World;
let files: Server;
let base = "";
const PIN = `#sha256=${"0".repeat(64)}`;

beforeAll(async () => {
  world = await World.start();
  // One file never ends, one breaks off and goes on when it is asked again, the others are not there.
  let broken = false;
  files = createServer((request, response) => {
    if (request.url?.startsWith("/broken") && !broken) {
      broken = true;
      response.setHeader("content-length", 1_000_000);
      response.write(Buffer.concat([Buffer.from("GGUF\x03\0\0\0"), Buffer.alloc(200_000)]), () => setTimeout(() => response.destroy(), 1500));
      return;
    }
    if (request.url?.startsWith("/broken")) {
      const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
      response.writeHead(from > 0 ? 206 : 200, { "content-length": 1_000_000 - from, ...(from > 0 ? { "content-range": `bytes ${from}-999999/1000000` } : {}) });
      if (from === 0) response.write("GGUF\x03\0\0\0");
      const timer = setInterval(() => response.write(Buffer.alloc(20_000)), 400);
      response.on("close", () => clearInterval(timer));
      return;
    }
    if (!request.url?.startsWith("/slow")) {
      response.statusCode = 404;
      response.end();
      return;
    }
    response.setHeader("content-length", 1_000_000);
    response.write("GGUF\x03\0\0\0");
    const timer = setInterval(() => response.write(Buffer.alloc(1000)), 100);
    response.on("close", () => clearInterval(timer));
  });
  await new Promise<void>((resolve) => files.listen(0, "127.0.0.1", resolve));
  base = `http://127.0.0.1:${(files.address() as AddressInfo).port}`;
  await world.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: "quiet" } });
});
afterAll(async () => {
  files?.closeAllConnections();
  files?.close();
  await world?.stop();
});

describe("activity", () => {
  test("a download is seen under way on every page, and cancelled", async () => {
    await world.apply(thing("Model", "slow", { sources: [`${base}/slow.gguf${PIN}`], network: "Private" }));
    const visit = await world.page("/kinds");
    await visit.page.locator("[data-activity]").getByText("slow").waitFor();
    await visit.page.locator("[data-activity]").click();
    await visit.page.getByRole("option", { name: /slow/ }).click();
    const dialog = visit.page.getByRole("dialog");
    await dialog.getByText(/of 1\.0 MB/).waitFor();
    expect(await visit.violations()).toEqual([]);
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await visit.page.getByRole("button", { name: "Cancel it" }).click();
    await until("it is gone", async () => !(await world.stead("get", "models")).includes("slow"));
    await visit.close();
  });

  test("the progress of a download goes on after its connection broke, and after another tab was looked at (GPUStack 5253, 2718)", async () => {
    await world.apply(thing("Model", "broken", { sources: [`${base}/broken.gguf${PIN}`], network: "Private" }));
    const visit = await world.page("/activity");
    await visit.page.getByRole("option", { name: /broken/ }).click();
    const dialog = visit.page.getByRole("dialog");
    const loaded = async () => Number(/([\d.]+) kB of 1\.0 MB/i.exec(await dialog.innerText())?.[1] ?? 0);
    await until("it has begun", async () => (await loaded()) >= 200);
    const before = await until("it goes on after the break", async () => {
      const now = await loaded();
      return now > 240 && now;
    });
    const other = await visit.page.context().newPage();
    await other.goto("/settings");
    await other.bringToFront();
    await other.getByRole("heading", { level: 1 }).waitFor();
    await visit.page.bringToFront();
    await until("it goes on", async () => (await loaded()) > before + 40);
    await world.stead("delete", "model", "broken");
    await visit.close();
  });

  test("what failed says why, and is tried again by its button and by its command", async () => {
    await world.apply(thing("Model", "missing", { sources: [`${base}/missing.gguf${PIN}`], network: "Private" }));
    await until("it has failed", async () => (await world.object("model", "missing")).status.steps.some((step: { state: string }) => step.state === "Failed"));
    const visit = await world.page("/activity?state=Failed");
    await visit.page.getByRole("option", { name: /missing/ }).click();
    await visit.page.getByRole("dialog").getByText(/404/).first().waitFor();
    await visit.page.getByRole("dialog").getByRole("button", { name: "Try again" }).click();
    await until("another try was seen", async () => (await world.object("model", "missing")).status.observedRetry !== undefined);
    await visit.close();
  });

  test("who changed what is told", async () => {
    const visit = await world.page("/activity?tab=changes");
    await visit.page.getByRole("option").first().waitFor();
    await visit.close();
  });
});

describe("settings", () => {
  test("each value has its source, is found by search, and is what the command says", async () => {
    const visit = await world.page("/settings?set=1");
    await visit.page.getByText("flag --listen").waitFor();
    await visit.page.getByText("flag --no-discover").waitFor();
    await visit.page.getByLabel("Search settings").fill("where to listen");
    await visit.page.getByText("127.0.0.1:0").waitFor();
    expect(await visit.page.getByRole("listitem").count()).toBeGreaterThan(0);
    await visit.close();
    const told = JSON.parse(await world.stead("api", "GET", "/api/settings"));
    expect(told.items.every((item: { description: string }) => item.description !== "")).toBe(true);
  });
});

describe("the API", () => {
  test("every operation of the document is answered", async () => {
    const token = readFileSync(join(world.home, "keys", "admin.token"), "utf8").trim();
    const document = JSON.parse(await world.stead("api", "GET", "/api/openapi.json"));
    for (const [path, methods] of Object.entries<Record<string, unknown>>(document.paths)) {
      for (const method of Object.keys(methods)) {
        // It would make the token useless that this test asks with.
        if (path === "/api/admin-token/rotate") continue;
        const asked = path.replace(/\{[^}]+\}/g, "none");
        const response = await fetch(world.address + asked, { method: method.toUpperCase(), headers: { authorization: `Bearer ${token}`, "content-type": "application/json" }, ...(method === "get" ? {} : { body: "{}" }), signal: AbortSignal.timeout(10_000) });
        expect([405, 501], `${method} ${path}`).not.toContain(response.status);
        if (response.status === 404) expect(await response.text(), `${method} ${path}`).not.toMatch(/there is nothing at|unknown_url/);
        else await response.body?.cancel();
      }
    }
  });

  test("an operation is found, filled in and sent", async () => {
    const visit = await world.page("/api-reference");
    await visit.page.getByLabel("Search operations").fill("sums up");
    await visit.page.getByRole("button", { name: /api\/usage/ }).click();
    await visit.page.getByLabel(/^by in query/).fill("model");
    await visit.page.getByRole("button", { name: "Send" }).click();
    await visit.page.locator("[data-answer]").getByText('"total"').waitFor();
    await visit.close();
  });

  test("a kind's own document is browsed down to its fields", async () => {
    const visit = await world.page(`/api-reference?doc=${encodeURIComponent("/k8s/openapi/v3/apis/stead.dev/v1alpha1")}&q=modelroutes`);
    await visit.page.getByRole("button", { name: /Makes ModelRoute/ }).click();
    await visit.page.getByText("targets").first().waitFor({ state: "attached" });
    await visit.close();
  });
});

describe("everybody", () => {
  test.each(["/activity", "/activity?tab=changes", "/activity?project=quiet", "/settings", "/api-reference", `/api-reference?op=${encodeURIComponent("get /api/usage")}`])("axe finds nothing on %s, light and dark, and nothing sticks out at 390 px", async (path) => {
    await isAccessible(world, path);
  });
});

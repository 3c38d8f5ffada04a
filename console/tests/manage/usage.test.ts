import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { World, isAccessible, providerOf, routeOf, thing, until } from "./world";

let world: World;
beforeAll(async () => {
  world = await World.start();
  await world.apply(
    { apiVersion: "v1", kind: "Namespace", metadata: { name: "quiet" } },
    { ...providerOf(world, "one"), spec: { ...providerOf(world, "one").spec, prices: [{ model: "*", perMillionTokens: { input: 10, output: 50 } }] } },
    routeOf("chat", { targets: [{ provider: "one", model: "small" }] }),
    thing("Quota", "budget", { subject: { kind: "Project" }, limits: [{ per: "month", spendUsd: 0.02 }], hard: false }),
  );
  const made = JSON.parse(await world.stead("key", "create", "ci", "-o", "json"));
  const { key } = Array.isArray(made) ? made[0] : made;
  const ask = (content: string) =>
    fetch(`${world.address}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify({ model: "chat", messages: [{ role: "user", content }] }),
    });
  await until("the route answers", async () => (await ask("one")).ok);
  for (let left = 6; left > 0; left--) expect((await ask("two")).ok).toBe(true);
});
afterAll(async () => world?.stop());

test("totals are the server's, and a file has them too", async () => {
  const usage = await until("all are summed up", async () => {
    const usage = JSON.parse(await world.stead("api", "GET", "/api/usage?by=key&since=7d&projects=default"));
    return usage.total.requests >= 7 && usage;
  });
  // 100 tokens in and 20 out are two thousandths of a dollar.
  const good = usage.total.requests - usage.total.errors;
  expect(usage.total.cost).toBe(good * 2_000_000);
  const visit = await world.page("/usage?by=key");
  await visit.page.locator("[data-total=requests]").filter({ hasText: String(usage.total.requests) }).waitFor();
  expect(await visit.page.locator("[data-total=cost]").innerText()).toBe(`$${(good * 0.002).toFixed(3)}`);
  await visit.page.getByRole("row", { name: /ci/ }).waitFor();
  const [file] = await Promise.all([visit.page.waitForEvent("download"), visit.click("button", "Download as CSV")]);
  const text = await (await file.createReadStream()).toArray();
  expect(Buffer.concat(text).toString()).toContain(`\r\ntotal,${usage.total.requests},`);
  await visit.page.getByRole("meter", { name: /budget/ }).waitFor();
  await visit.close();
});

test("what hundreds of models used is summed up whole, and failures are their provider's (LiteLLM 11929, 13182)", async () => {
  const routes = Array.from({ length: 300 }, (_, number) => ({
    ...routeOf(`m${String(number).padStart(3, "0")}`, { targets: [{ provider: "one", model: "small" }] }),
    metadata: { name: `m${String(number).padStart(3, "0")}`, namespace: "default" },
  }));
  await world.make("apis/stead.dev/v1alpha1/namespaces/default/modelroutes", routes);
  const made = JSON.parse(await world.stead("key", "create", "many", "-o", "json"));
  const { key } = Array.isArray(made) ? made[0] : made;
  const ask = (model: string, content: string) =>
    fetch(`${world.address}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify({ model, messages: [{ role: "user", content }] }),
    });
  await until("the last route answers", async () => (await ask("m299", "one")).ok);
  for (const { metadata } of routes) expect((await ask(metadata.name, "two")).ok).toBe(true);
  expect((await ask("m000", "please fail")).ok).toBe(false);
  const read = async (by: string) => JSON.parse(await world.stead("api", "GET", `/api/usage?by=${by}&since=7d&projects=default`));
  const usage = await until("all are summed up", async () => {
    const usage = await read("model");
    return usage.items.length > 300 && usage.total.errors > 0 && usage;
  });
  const sum = (of: (row: { requests: number; cost: number }) => number) => usage.items.reduce((sum: number, row: { requests: number; cost: number }) => sum + of(row), 0);
  expect(sum((row) => row.requests)).toBe(usage.total.requests);
  expect(sum((row) => row.cost)).toBe(usage.total.cost);
  const one = (await read("provider")).items.find((row: { group: string[] }) => row.group[0] === "one");
  expect(one.errors).toBeGreaterThan(0);
  const visit = await world.page("/usage?by=model");
  await visit.page.locator("[data-total=requests]").filter({ hasText: String(usage.total.requests) }).waitFor();
  const [file] = await Promise.all([visit.page.waitForEvent("download"), visit.click("button", "Download as CSV")]);
  const lines = Buffer.concat(await (await file.createReadStream()).toArray()).toString().trim().split("\r\n");
  expect(lines.length).toBe(usage.items.length + 2);
  await visit.close();
});

describe("everybody", () => {
  test.each(["/usage", "/usage?by=user&show=tokens&since=24h", "/usage?project=quiet"])("axe finds nothing on %s, light and dark, and nothing sticks out at 390 px", async (path) => {
    await isAccessible(world, path);
  });
});

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { World, isAccessible, providerOf, routeOf, thing, until } from "./world";

let world: World;
beforeAll(async () => {
  world = await World.start();
  await world.apply(
    { apiVersion: "v1", kind: "Namespace", metadata: { name: "quiet" } },
    providerOf(world, "one"),
    providerOf(world, "two"),
    routeOf("chat", { targets: [{ provider: "one", model: "small", weight: 3 }, { provider: "two", model: "large" }, { provider: "one", model: "huge", priority: 2 }], fallbacks: ["spare", "other"] }),
    routeOf("spare", { targets: [{ provider: "two", model: "small" }] }),
    routeOf("other", { targets: [{ provider: "two", model: "huge" }] }),
    thing("Quota", "budget", { subject: { kind: "Project" }, limits: [{ per: "month", requests: 1000 }], hard: false }),
    thing("Guardrail", "privacy", { rules: [{ name: "personal", action: "Redact", detectors: ["pii"] }] }),
  );
  await world.stead("prompt", "put", "greet", "--text", "Greet {{name}}.");
});
afterAll(async () => world?.stop());

describe("keys", () => {
  test("a key and a working curl take four clicks, and the key is shown once", async () => {
    const visit = await world.page("/keys");
    await visit.click("button", /^New key/);
    await visit.field("Name").fill("ci");
    await visit.click("button", "Create");
    const key = await visit.page.locator("[data-key]").innerText();
    expect(key).toMatch(/^sk-stead-[\w-]{43}$/);
    await until("the key is in force", async () => (await world.object("apikey", "ci")).status?.conditions?.[0]?.status === "True");
    await visit.click("button", "Test call");
    await visit.page.getByText("It works:").waitFor();
    expect(visit.clicks).toBeLessThanOrEqual(4);
    const curl = await visit.page.locator("[data-sample]").innerText();
    expect(await world.shell(`${curl} -sS`)).toContain("says four.");
    await visit.click("tab", ".env");
    expect(await visit.page.locator("[data-sample]").innerText()).toBe(`OPENAI_BASE_URL=${world.address}/v1\nOPENAI_API_KEY=${key}`);
    expect(await visit.violations()).toEqual([]);
    await visit.click("button", "Done");
    await visit.page.getByRole("option", { name: /ci/ }).waitFor();
    expect(await visit.page.content()).not.toContain(key);
    expect(JSON.stringify(await world.object("apikey", "ci"))).not.toContain(key);
    await visit.close();
  });

  test("a replaced key is shown once, and the old one works on", async () => {
    const made = JSON.parse(await world.stead("key", "create", "old", "-o", "json"));
    const old = (Array.isArray(made) ? made[0] : made).key as string;
    const visit = await world.page("/keys/old");
    await visit.click("button", "Replace");
    const fresh = await visit.page.locator("[data-key]").innerText();
    expect(fresh).not.toBe(old);
    for (const key of [fresh, old]) {
      await until("it works", async () => (await fetch(`${world.address}/v1/models`, { headers: { authorization: `Bearer ${key}` } })).ok);
    }
    await visit.close();
  });
});

describe("routes", () => {
  test("a split is moved by the keyboard, reviewed as a difference, and stored", async () => {
    const visit = await world.page("/routes/chat");
    const slider = visit.page.getByRole("slider");
    await slider.focus();
    for (let press = 0; press < 3; press++) await visit.page.keyboard.press("Shift+ArrowLeft");
    expect(await slider.getAttribute("aria-valuenow")).toBe("45");
    await visit.click("button", "Review changes");
    const difference = visit.page.locator("[data-diff]");
    await difference.getByText("weight: 45").waitFor();
    await difference.getByText("weight: 55").waitFor();
    await visit.click("button", "Apply");
    await until("it is stored", async () => (await world.object("modelroute", "chat")).spec.targets[0].weight === 45);
    expect(visit.clicks).toBe(2);
    await visit.close();
  });

  test("a split is dragged, and fallbacks change places", async () => {
    const visit = await world.page("/routes/chat");
    const box = (await visit.page.locator("[data-split]").boundingBox())!;
    const handle = (await visit.page.getByRole("slider").boundingBox())!;
    await visit.page.mouse.move(handle.x + handle.width / 2, handle.y + 10);
    await visit.page.mouse.down();
    await visit.page.mouse.move(box.x + box.width * 0.9, handle.y + 10, { steps: 4 });
    await visit.page.mouse.up();
    expect(await visit.page.getByLabel("Share of one/small").inputValue()).toBe("90");
    await visit.click("button", "Try other earlier");
    await visit.click("button", "Review changes");
    await visit.click("button", "Apply");
    await until("it is stored", async () => (await world.object("modelroute", "chat")).spec.fallbacks[0] === "other");
    const { targets } = (await world.object("modelroute", "chat")).spec;
    expect(targets.map((target: { weight: number }) => target.weight)).toEqual([90, 10, 1]);
    await visit.close();
  });

  test("a route is made of chosen models", async () => {
    const visit = await world.page("/routes");
    await visit.click("button", /^New route/);
    await visit.field("Name").fill("fast");
    await visit.field("one/small").check();
    await visit.field("two/large").check();
    expect(await visit.violations()).toEqual([]);
    await visit.click("button", "Create");
    await visit.page.getByRole("heading", { name: "fast" }).waitFor();
    expect((await world.object("modelroute", "fast")).spec.targets).toHaveLength(2);
    await visit.close();
  });
});

describe("providers", () => {
  test("a provider is made with its credential in a Secret, tested, and switched off and on", async () => {
    const visit = await world.page("/providers");
    await visit.click("button", /^New provider/);
    await visit.field(/^Type/).selectOption("openai-compatible");
    await visit.field("Name").fill("three");
    await visit.field(/^Address/).fill(world.providerUrl);
    await visit.field("API key").fill("sk-of-a-company");
    await visit.page.getByLabel(/private network/).check();
    await visit.click("button", "Create");
    await visit.page.getByRole("dialog").getByRole("heading", { name: "three" }).waitFor();
    await visit.page.getByText("Reachable").waitFor();
    await visit.click("button", "Ask it");
    await visit.page.getByText(/says four/).waitFor();
    expect((await world.object("secret", "three")).metadata.labels["stead.dev/provider"]).toBe("three");
    await visit.field(/^Who may use it/).selectOption("Disabled");
    await until("it is off", async () => (await world.object("modelprovider", "three")).spec.availability === "Disabled");
    await visit.click("button", "Undo");
    await until("it is on", async () => (await world.object("modelprovider", "three")).spec.availability === "Everyone");
    await visit.close();
  });

  test("a provider that is wrong leaves no Secret behind", async () => {
    const visit = await world.page("/providers");
    await visit.click("button", /^New provider/);
    await visit.field("Name").fill("one");
    await visit.field("API key").fill("x");
    await visit.click("button", "Create");
    await visit.page.getByRole("alert").waitFor();
    expect(await world.stead("get", "secrets")).not.toContain("one");
    await visit.close();
  });
});

test("a prompt has versions, what changed between them, and labels that move", async () => {
  const visit = await world.page("/prompts/greet");
  await visit.click("button", /^New version/);
  await visit.page.getByLabel("Message 1", { exact: true }).fill("Greet {{name}} in {{language}}.");
  await visit.page.getByLabel("What is different").fill("languages");
  await visit.click("button", "Save");
  await visit.page.getByText("v2").waitFor();
  await visit.page.getByLabel("Label for version 2").fill("production");
  await visit.click("button", "Label");
  await until("it is labelled", async () => (await world.stead("prompt", "get", "greet", "--version", "production")).includes("language"));
  await visit.click("tab", "What changed");
  await visit.page.locator("[data-diff]").getByText("Greet {{name}} in {{language}}.").waitFor();
  await visit.close();
});

test("a quota is made, and what is used stands in its meter", async () => {
  const visit = await world.page("/quotas");
  await visit.click("button", /^New quota/);
  await visit.field("Name").fill("keys");
  await visit.field(/^Limits a/).selectOption("Key");
  await visit.field(/^Called/).fill("*");
  await visit.field("Requests").fill("500");
  await visit.click("button", "Create");
  await visit.page.getByRole("dialog").getByRole("heading", { name: "keys" }).waitFor();
  expect((await world.object("quota", "keys")).spec).toMatchObject({ subject: { kind: "Key", name: "*" }, limits: [{ per: "month", requests: 500 }], hard: true });
  await visit.close();
});

describe("everybody", () => {
  const PAGES = ["/providers", "/providers/one", "/routes", "/routes/chat", "/keys", "/quotas", "/quotas/budget", "/guardrails", "/guardrails/privacy", "/prompts", "/prompts/greet"];
  const EMPTY = ["/providers", "/routes", "/keys", "/quotas", "/guardrails", "/prompts"].map((path) => `${path}?project=quiet`);
  test.each([...PAGES, ...EMPTY])("axe finds nothing on %s, light and dark, and nothing sticks out at 390 px", async (path) => {
    await isAccessible(world, path);
  });

  test("two thousand providers scroll, and a script in a model's name is text", async () => {
    const hostile = `<img src=x onerror="alert(1)">`;
    const many = Array.from({ length: 2000 }, (_, index) => thing("ModelProvider", `p-${index}`, { type: "openai", availability: "Disabled", models: [hostile] }, "quiet"));
    await world.make("apis/stead.dev/v1alpha1/namespaces/quiet/modelproviders", many);
    const visit = await world.page("/providers?project=quiet");
    await visit.page.getByRole("option", { name: /p-1000/ }).waitFor();
    await visit.page.getByRole("listbox").evaluate((list) => (list.scrollTop = list.scrollHeight));
    await visit.page.getByRole("option", { name: /p-999/ }).waitFor();
    expect(await visit.page.getByRole("option").count()).toBeLessThan(60);
    await visit.page.goto("/providers/p-7?project=quiet");
    await visit.page.getByRole("dialog").locator("li").getByText(hostile).first().waitFor();
    expect(await visit.page.locator("img[src='x']").count()).toBe(0);
    await visit.close();
  });
});

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SORTS, definitionOf, draft, fieldsOf, type Draft, type Sort } from "../../src/pages/evaluations/metric";
import { World, isAccessible, providerOf, routeOf, until } from "./world";

let world: World;
beforeAll(async () => {
  world = await World.start();
  await world.apply(
    { apiVersion: "v1", kind: "Namespace", metadata: { name: "quiet" } },
    providerOf(world, "one"),
    routeOf("chat", { targets: [{ provider: "one", model: "small" }] }),
    routeOf("other", { targets: [{ provider: "one", model: "large" }] }),
  );
});
afterAll(async () => world?.stop());

describe("evaluations", () => {
  test("a dataset is made, run with two models, and compared item by item", async () => {
    const visit = await world.page("/evaluations/datasets");
    await visit.click("button", /^New dataset/);
    await visit.field("Name").fill("sums");
    // The small model is right about the first alone, the large one about the second.
    await visit.field("Items").fill('{"input":"2+2?","expected":"small says four."}\n{"input":"3+1?","expected":"large says four."}\n{"input":"<img src=x onerror=alert(1)>","expected":"nothing"}');
    await visit.click("button", "Create");
    await visit.page.getByText("3 items").waitFor();
    for (const model of ["chat", "other"]) {
      await visit.click("button", "Evaluate");
      await visit.field(/^Model/).selectOption(model);
      await visit.field(/^Name/).fill(`with-${model}`);
      await visit.click("button", "Run");
      await visit.page.getByRole("option", { name: new RegExp(`with-${model}.*completed`) }).waitFor();
      if (model === "chat") await visit.page.getByRole("tab", { name: "Datasets" }).click().then(() => visit.page.getByRole("option", { name: /sums/ }).click());
    }
    await visit.page.keyboard.press("j");
    await visit.page.keyboard.press("x");
    await visit.page.keyboard.press("j");
    await visit.page.keyboard.press("x");
    await visit.click("button", "Compare");
    await visit.page.getByText("1 regression").waitFor();
    expect(await visit.page.locator("[data-delta='-1']").count()).toBe(1);
    expect(await visit.page.locator("[data-delta='1']").count()).toBe(1);
    expect(await visit.page.locator("img[src=x]").count()).toBe(0);
    expect(await visit.violations()).toEqual([]);
    await visit.page.getByLabel("Regressions only").check();
    await until("one row is left", async () => (await visit.page.getByRole("row").count()) === 2);
    await visit.page.reload();
    await until("a reload shows the same", async () => (await visit.page.getByRole("row").count()) === 2);
    await visit.close();
  });

  test("a metric is given its type and its settings, and scores by them", async () => {
    const visit = await world.page("/evaluations/datasets");
    const dialog = visit.page.getByRole("dialog", { name: "New evaluation" });
    await visit.page.getByRole("option", { name: /sums/ }).click();
    await visit.click("button", "Evaluate");
    await visit.field(/^Model/).selectOption("chat");
    await visit.field(/^Name \(/).fill("with-settings");
    await visit.field("Metric 1").selectOption("regex");
    const go = dialog.getByRole("button", { name: "Run" });
    expect(await go.isDisabled()).toBe(true);
    await visit.field("Regular expression").fill("^small .* four");
    expect(await go.isDisabled()).toBe(false);
    const first = dialog.getByRole("listitem").first();
    await first.getByText("More settings").click();
    await first.getByLabel("Its scores are called").fill("starts");
    await visit.click("button", "Metric");
    await visit.field("Metric 2").selectOption("contains");
    const second = dialog.getByRole("listitem").nth(1);
    await second.getByLabel(/^Expected/).fill("SMALL");
    await second.getByLabel("Capital letters").selectOption("true");
    await visit.click("button", "Metric");
    await visit.field("Metric 3").selectOption("json-schema");
    const schema = visit.field("JSON schema of the answer");
    await schema.fill("{");
    await dialog.getByText("is no JSON yet").waitFor();
    expect(await go.isDisabled()).toBe(true);
    expect(await visit.violations()).toEqual([]);
    await schema.fill('{"type": "object"}');
    await visit.click("button", "Metric");
    await visit.field("Metric 4").selectOption("latency-budget");
    await visit.field("Milliseconds at most").fill("60000");
    await visit.click("button", "Metric");
    await visit.click("button", "Remove metric 5");
    await dialog.getByRole("button", { name: "command" }).click();
    const command = await visit.page.locator("[data-command]").innerText();
    expect(JSON.parse(command.slice(command.indexOf("{"), command.lastIndexOf("}") + 1)).metrics).toEqual([
      { type: "regex", name: "starts", pattern: "^small .* four" },
      { type: "contains", expected: "SMALL", caseSensitive: true },
      { type: "json-schema", schema: { type: "object" } },
      { type: "latency-budget", max: 60000 },
    ]);
    await visit.page.keyboard.press("Escape");
    await go.click();
    await visit.page.getByRole("option", { name: /with-settings.*completed/ }).waitFor();
    const { content } = JSON.parse(await world.stead("api", "GET", "/opik/api/v1/private/experiments?name=with-settings&page=1&size=1"));
    const scores = Object.fromEntries(content[0].feedback_scores.map((score: { name: string; value: number }) => [score.name, score.value]));
    expect(scores).toEqual({ starts: 1, contains: 0, "json-schema": 0, "latency-budget": 1 });
    await visit.close();
  });

  test("the server takes every sort of metric with all that the form offers for it, and none without what it needs", async () => {
    const examples: Record<string, string> = { schema: "{}", messages: '[{"role":"user","content":"{{output}}"}]', scores: '[{"name":"polite"}]', detectors: "email", model: "chat", caseSensitive: "true", max: "1", votes: "2", temperature: "1" };
    const full = (type: Sort): Draft => ({ ...draft(type), values: Object.fromEntries(fieldsOf(type).map((field) => [field.name, examples[field.name] ?? field.options?.at(-1)?.value ?? "x"])) });
    const run = (metrics: object[]) => world.stead("api", "POST", "/api/evaluations?project=default", "-d", JSON.stringify({ dataset: { name: "sums" }, model: "chat", limit: 1, judge: "chat", metrics }));
    const refusal = (metrics: object[]) => run(metrics).then(() => "taken", (error: { stderr: string }) => error.stderr);
    expect(await refusal(SORTS.map((type) => definitionOf(full(type))))).toBe("taken");
    for (const type of SORTS) {
      for (const field of fieldsOf(type).filter((field) => field.needed)) {
        const { [field.name]: _, ...values } = full(type).values;
        expect(`${type} without ${field.name}: ${await refusal([definitionOf({ ...full(type), values })])}`).not.toContain("taken");
      }
    }
  });

  test("a change of a dataset is a version, and an older one is looked at and restored", async () => {
    const visit = await world.page("/evaluations/datasets");
    await visit.page.getByRole("option", { name: /sums/ }).click();
    await visit.click("button", /^Add items/);
    await visit.page.getByRole("dialog").getByLabel("Items").fill('{"input":"4+0?"}');
    await visit.click("button", "Add");
    await visit.page.getByText("4 items").waitFor();
    await visit.page.getByRole("button", { name: /^v1/ }).click();
    await visit.page.getByText("You look at v1").waitFor();
    await visit.click("button", "Make it the newest");
    await visit.page.getByText("v3").first().waitFor();
    await visit.close();
  });

  test("items that are no JSON are refused with their line", async () => {
    const visit = await world.page("/evaluations/datasets");
    await visit.click("button", /^New dataset/);
    await visit.field("Name").fill("broken");
    await visit.field("Items").fill('{"a":1}\nno');
    await visit.click("button", "Create");
    await visit.page.getByText("line 2 is no JSON: no").waitFor();
    await visit.close();
  });
});

describe("everybody", () => {
  test.each(["/evaluations", "/evaluations?project=quiet", "/evaluations/datasets", "/evaluations/datasets?project=quiet"])("axe finds nothing on %s, light and dark, and nothing sticks out at 390 px", async (path) => {
    await isAccessible(world, path);
  });
});

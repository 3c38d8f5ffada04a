import { afterAll, beforeAll, describe, expect, test } from "vitest";
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

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { World, isAccessible, providerOf, routeOf, thing, until } from "./world";

const HOSTILE = `<img src=x onerror="alert(1)"><script>alert(2)</script>`;
let world: World;

beforeAll(async () => {
  world = await World.start();
  await world.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: "quiet" } });
  await world.apply(
    providerOf(world, "one"),
    { ...providerOf(world, "two"), metadata: { name: "two", namespace: "default", labels: { team: "a" }, annotations: { note: HOSTILE } } },
    routeOf("chat", { targets: [{ provider: "one", model: "small" }] }),
  );
});
afterAll(async () => world?.stop());

describe("every kind", () => {
  test("a kind that is added later appears, with list, form and page, and no edit of the console", async () => {
    const visit = await world.page("/kinds");
    await world.apply({
      apiVersion: "apiextensions.k8s.io/v1",
      kind: "CustomResourceDefinition",
      metadata: { name: "boats.harbour.example" },
      spec: {
        group: "harbour.example",
        scope: "Namespaced",
        names: { plural: "boats", singular: "boat", kind: "Boat" },
        versions: [
          {
            name: "v1",
            served: true,
            storage: true,
            additionalPrinterColumns: [{ name: "Sails", type: "integer", jsonPath: ".spec.sails" }],
            schema: {
              openAPIV3Schema: {
                type: "object",
                properties: { spec: { type: "object", required: ["sails"], properties: { sails: { type: "integer", minimum: 1 }, colour: { type: "string", enum: ["Red", "Blue"] } } } },
              },
            },
          },
        ],
      },
    });
    await visit.page.getByText("Boat", { exact: true }).click();
    await visit.page.getByText("No Boat in this project").waitFor();
    await visit.page.getByRole("button", { name: "New Boat" }).first().click();
    await visit.page.getByRole("textbox", { name: /^Name/ }).fill("ketch");
    await visit.page.getByLabel(/^Sails/).fill("2");
    await visit.page.getByRole("button", { name: "Review" }).click();
    await visit.page.getByText("sails: 2").waitFor();
    await visit.page.getByRole("button", { name: "Create" }).click();
    await visit.page.getByRole("heading", { name: "ketch" }).waitFor();
    expect((await world.object("boats", "ketch")).spec).toEqual({ sails: 2 });
    await visit.page.goto("/kinds/harbour.example/boats");
    await visit.page.getByRole("button", { name: "Sort by Sails" }).waitFor();
    await visit.close();
  });

  test("a list follows what happens elsewhere", async () => {
    const visit = await world.page("/kinds/core/configmaps?project=quiet");
    await visit.page.getByText("No ConfigMap in this project").waitFor();
    await world.shell(`stead apply -f - <<'EOF'\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: colours, namespace: quiet}\ndata: {sky: blue}\nEOF`);
    await visit.page.getByRole("option", { name: /colours/ }).waitFor();
    await world.stead("delete", "configmap", "colours", "-n", "quiet");
    await visit.page.getByText("No ConfigMap in this project").waitFor();
    await visit.close();
  });

  test("a change of the YAML is checked by the server, shown as a difference, stored, and taken back", async () => {
    const visit = await world.page("/kinds/stead.dev/modelroutes/chat?tab=yaml");
    const editor = visit.page.getByLabel("chat as YAML");
    const text = await editor.inputValue();
    await editor.fill(text.replace("strategy: Weighted", "strategy: Sideways"));
    await visit.page.getByRole("button", { name: "Review changes" }).click();
    await visit.page.getByRole("alert").filter({ hasText: "Sideways" }).waitFor();
    expect((await world.object("modelroute", "chat")).spec.strategy).toBe("Weighted");
    await visit.page.keyboard.press("Escape");
    await editor.fill(text.replace("strategy: Weighted", "strategy: LowestCost"));
    await visit.page.getByRole("button", { name: "Review changes" }).click();
    const difference = visit.page.locator("[data-diff]");
    await difference.getByText("strategy: LowestCost").waitFor();
    await difference.getByText("strategy: Weighted").waitFor();
    expect((await world.object("modelroute", "chat")).spec.strategy).toBe("Weighted");
    await visit.page.getByRole("button", { name: "Apply" }).click();
    await until("it is stored", async () => (await world.object("modelroute", "chat")).spec.strategy === "LowestCost");
    await visit.page.getByRole("button", { name: "Undo" }).click();
    await until("it is as before", async () => (await world.object("modelroute", "chat")).spec.strategy === "Weighted");
    await visit.close();
  });

  test("what somebody else changed during a review is not overwritten", async () => {
    const visit = await world.page("/kinds/stead.dev/modelproviders/one?tab=form");
    await visit.page.getByLabel("Availability", { exact: true }).selectOption("Admins");
    await visit.page.getByRole("button", { name: "Review changes" }).first().click();
    await visit.page.locator("[data-diff]").getByText("availability: Admins").waitFor();
    await world.apply({ ...providerOf(world, "one"), metadata: { name: "one", namespace: "default", labels: { by: "another" } } });
    await visit.page.getByRole("button", { name: "Apply" }).click();
    await visit.page.getByRole("alert").filter({ hasText: "Somebody else was faster" }).waitFor();
    expect((await world.object("modelprovider", "one")).spec.availability).toBe("Everyone");
    await visit.close();
  });

  test("the command that is shown has the same effect", async () => {
    await world.apply(thing("Quota", "small", { subject: { kind: "Project" }, limits: [{ per: "minute", requests: 9 }] }));
    const visit = await world.page("/kinds/stead.dev/quotas/small");
    await visit.page.getByRole("button", { name: "Delete" }).click();
    await visit.page.getByText("Nothing else goes with it.").waitFor();
    await visit.page.getByRole("dialog").getByRole("button", { name: "command" }).click();
    const command = await visit.page.locator("[data-command]").innerText();
    expect(command).toBe("stead delete quotas small -n default");
    await world.shell(command);
    await visit.page.getByText("Quota small is not here").waitFor();
    await visit.close();
  });

  test("what goes along with what is deleted is told before", async () => {
    await world.apply({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "parent", namespace: "default" } });
    const parent = await world.object("configmap", "parent");
    const owner = { apiVersion: "v1", kind: "ConfigMap", name: "parent", uid: parent.metadata.uid };
    await world.apply({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "child", namespace: "default", ownerReferences: [owner] } });
    const visit = await world.page("/kinds/core/configmaps/parent");
    await visit.page.getByRole("button", { name: "Delete" }).click();
    await visit.page.getByRole("link", { name: "child" }).waitFor();
    const go = visit.page.getByRole("dialog").getByRole("button", { name: "Delete" });
    expect(await go.isDisabled()).toBe(true);
    await visit.page.getByLabel(/Type parent/).fill("parent");
    await go.click();
    await until("both are gone", async () => !(await world.stead("get", "configmaps")).includes("child"));
    await visit.close();
  });
});

describe("hostile content", () => {
  test("a script in a name, a label or an annotation is text", async () => {
    // Names of objects are letters and hyphens; a Secret's keys, labels and annotations are what people write.
    for (const path of ["/kinds/stead.dev/modelproviders/two", "/kinds/stead.dev/modelproviders/two?tab=yaml", `/kinds/stead.dev/modelproviders/${encodeURIComponent(HOSTILE)}`, `/kinds/${encodeURIComponent(HOSTILE)}/x`, `/kinds/stead.dev/modelproviders?q=${encodeURIComponent(HOSTILE)}`]) {
      const visit = await world.page(path);
      await visit.page.waitForLoadState("networkidle");
      expect(await visit.page.locator("img[src='x'], main script").count()).toBe(0);
      await visit.close();
    }
  });

  test("2,000 providers are listed, filtered and scrolled", async () => {
    const many = Array.from({ length: 2000 }, (_, index) => thing("ModelProvider", `p-${String(index).padStart(4, "0")}`, { type: "openai", availability: "Disabled" }, "crowd"));
    await world.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: "crowd" } });
    await world.make("apis/stead.dev/v1alpha1/namespaces/crowd/modelproviders", many);
    const visit = await world.page("/kinds/stead.dev/modelproviders?project=crowd");
    await visit.page.getByRole("option", { name: /p-0000/ }).waitFor();
    expect(await visit.page.getByRole("option").count()).toBeLessThan(60);
    await visit.page.getByLabel("Filter").fill("p-1999");
    await visit.page.getByRole("option", { name: /p-1999/ }).waitFor();
    expect(await visit.page.getByRole("option").count()).toBe(1);
    await visit.close();
  });
});

describe("everybody", () => {
  const PAGES = [
    "/kinds",
    "/kinds/stead.dev/modelproviders",
    "/kinds/core/configmaps?project=quiet",
    "/kinds/stead.dev/modelroutes/chat",
    "/kinds/stead.dev/modelroutes/chat?tab=form",
    "/kinds/stead.dev/modelroutes/chat?tab=yaml",
    "/kinds/stead.dev/modelroutes/chat?tab=events",
    "/kinds/stead.dev/modelroutes/gone",
    "/kinds/stead.dev/guardrails?new=form",
  ];
  test.each(PAGES)("axe finds nothing on %s, light and dark, and nothing sticks out at 390 px", async (path) => {
    await isAccessible(world, path);
  });

  test("axe finds nothing in an open review and an open deletion", async () => {
    const visit = await world.page("/kinds/stead.dev/modelroutes/chat?tab=form");
    await visit.page.getByLabel("Strategy", { exact: true }).selectOption("LeastBusy");
    await visit.page.getByRole("button", { name: "Review changes" }).first().click();
    await visit.page.locator("[data-diff]").waitFor();
    expect(await visit.violations()).toEqual([]);
    await visit.page.keyboard.press("Escape");
    await visit.page.getByRole("button", { name: "Delete" }).click();
    await visit.page.getByText("Nothing else goes with it.").waitFor();
    expect(await visit.violations()).toEqual([]);
    await visit.close();
  });

  test("an object is found, opened, changed and stored by keyboard alone", async () => {
    const visit = await world.page("/");
    const { keyboard } = visit.page;
    await keyboard.press("g");
    await keyboard.press("r");
    await visit.page.getByLabel("Find a kind").waitFor();
    await keyboard.press("/");
    await keyboard.type("modelroute");
    await keyboard.press("Enter");
    await visit.page.getByRole("option", { name: /chat/ }).waitFor();
    await keyboard.press("j");
    await keyboard.press("Enter");
    await visit.page.getByRole("heading", { name: "chat" }).waitFor();
    await keyboard.press("e");
    await visit.page.getByLabel("Strategy", { exact: true }).focus();
    await keyboard.press("ArrowDown");
    await keyboard.press("Control+s");
    await visit.page.locator("[data-diff]").waitFor();
    await visit.page.getByRole("button", { name: "Apply" }).focus();
    await keyboard.press("Enter");
    await until("it is stored", async () => (await world.object("modelroute", "chat")).spec.strategy === "Priority");
    await visit.close();
  });
});

import { describe, expect, test } from "vitest";
import { stage } from "./stage";
import { launch, until, violations } from "./world";

const { stead, open, visit } = stage();

test("a link signs in once, its secret leaves the address, and a used one is told what to do", async () => {
  const context = await (await launch()).newContext({ baseURL: stead.address });
  open.push(context);
  const page = await context.newPage();
  const link = stead.loginLink();
  await page.goto(link);
  await page.getByRole("navigation", { name: "Pages" }).waitFor();
  expect(page.url()).not.toContain("#");
  const second = await context.browser()!.newContext();
  open.push(second);
  const other = await second.newPage();
  await other.goto(link);
  await other.getByText(/used up or too old/).waitFor();
  await other.getByText(/stead login-link/).first().waitFor();
  expect(await violations(other)).toEqual([]);
});

test("a user signs in by name and password, comes where they wanted to, and signs out", async () => {
  stead.apply("apiVersion: stead.dev/v1alpha1\nkind: User\nmetadata: {name: ada}\nspec: {displayName: Ada Lovelace, projects: [default]}\n");
  expect((await stead.api("PUT", "/api/users/ada/password", { password: "correct horse battery" })).status).toBe(204);
  const context = await (await launch()).newContext({ baseURL: stead.address });
  open.push(context);
  const page = await context.newPage();
  await page.goto("/chat?temporary=yes");
  await page.getByLabel("Name").fill("ada");
  await page.getByLabel("Password").fill("wrong");
  await page.keyboard.press("Enter");
  await page.getByText(/wrong/).waitFor();
  await page.getByLabel("Password").fill("correct horse battery");
  await page.keyboard.press("Enter");
  await page.getByText("temporary, not kept").waitFor();
  await page.getByRole("button", { name: /Ada Lovelace/ }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in to Stead" }).waitFor();
});

test("a model is served in two clicks, with its progress, and the list ticks itself", async () => {
  const { page, errors } = await visit();
  let clicks = 0;
  await page.getByText("0 of 6").waitFor();
  await page.getByRole("button", { name: "Serve SmolLM2 135M" }).click();
  clicks += 1;
  await page.getByRole("progressbar").or(page.getByText("Served")).first().waitFor();
  await page.getByText("Served").first().waitFor();
  await page.getByText("1 of 6").waitFor();
  await page.getByLabel("Ask a model").fill("Tell me the capital of France.");
  await page.getByRole("button", { name: "Ask", exact: true }).click();
  clicks += 1;
  await page.getByText(/\d tokens/).waitFor();
  expect(clicks).toBeLessThanOrEqual(3);
  await page.keyboard.press("Escape");
  await page.getByRole("link", { name: "Home" }).click();
  await page.getByText("2 of 6").waitFor();
  expect(errors).toEqual([]);
});

test("everything is reached by keys: the palette, the sheet, and pages by g", async () => {
  const { page } = await visit();
  await page.keyboard.press("g");
  await page.keyboard.press("c");
  await page.waitForURL(/\/chat/);
  await page.keyboard.press("g");
  await page.keyboard.press("h");
  await page.waitForURL((url) => url.pathname === "/");
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keys" }).waitFor();
  expect(await violations(page)).toEqual([]);
  await page.keyboard.press("Escape");
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox").waitFor();
  expect(await violations(page)).toEqual([]);
  await page.keyboard.type("dark");
  await page.keyboard.press("Enter");
  await until("the dark theme", async () => (await page.evaluate(() => document.documentElement.dataset["theme"])) === "dark");
  await page.reload();
  expect(await page.evaluate(() => document.documentElement.dataset["theme"])).toBe("dark");
});

test("a change that somebody else makes is on the page at once", async () => {
  const { page } = await visit();
  await page.getByRole("button", { name: "Project default" }).waitFor();
  stead.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: research}\n");
  await page.getByRole("button", { name: "Project default" }).click();
  await page.getByRole("menuitem", { name: "research" }).click();
  await page.waitForURL(/project=research/);
});

describe.each(["light", "dark"] as const)("in %s", (theme) => {
  test.each([1280, 390])("home, sign-in and what is not there are accessible, %i pixels wide", async (width) => {
    const { page } = await visit(undefined, { theme, width });
    await page.getByRole("heading", { name: "This machine", exact: true }).waitFor();
    expect(await violations(page)).toEqual([]);
    expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
    await page.goto("/nothing/here");
    await page.getByText("There is no page here").waitFor();
    expect(await violations(page)).toEqual([]);
    if (width < 768) {
      await page.getByRole("button", { name: "Navigation" }).click();
      await page.getByRole("link", { name: "Chat" }).waitFor();
      expect(await violations(page)).toEqual([]);
      await page.keyboard.press("Escape");
    }
  });
});

/** What the tests of a file share: the program, a scripted provider, and windows that are closed after each test. */

import { afterAll, afterEach, beforeAll } from "vitest";
import type { BrowserContext, Page } from "playwright-core";
import { Script, Stead, close, enter, type Look } from "./world";

/** Starts all of it before the first test, and ends it after the last one. */
export function stage(prepare: (stead: Stead, script: Script) => void | Promise<void> = () => {}) {
  const stead = new Stead();
  const script = new Script();
  /** The windows of the test that runs. */
  const open: BrowserContext[] = [];
  beforeAll(async () => {
    await stead.start();
    await script.start();
    await prepare(stead, script);
  });
  afterEach(async () => {
    for (const context of open.splice(0)) await context.close();
  });
  afterAll(async () => {
    script.end();
    await close();
    await stead.end();
  });
  /** A window that is signed in, on a page. */
  const visit = async (path?: string, look: Look = {}): Promise<{ page: Page; errors: string[] }> => {
    const { page, context, errors } = await enter(stead, look);
    open.push(context);
    if (path !== undefined) await page.goto(path);
    return { page, errors };
  };
  return { stead, script, open, visit };
}

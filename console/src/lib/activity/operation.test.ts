import { describe, expect, test } from "vitest";
import type { Thing } from "../api/kinds.svelte";
import { ofBatch, ofEvaluation, ofThing } from "./operation";

const kind = { group: "stead.dev", version: "v1alpha1", plural: "models", namespaced: true, kind: "Model" };
const model = (...states: string[]): Thing => ({
  apiVersion: "stead.dev/v1alpha1",
  kind: "Model",
  metadata: { name: "m", namespace: "p", uid: "u" },
  status: { steps: states.map((state, index) => ({ name: `s${index}`, state, started: "2026-01-01T00:00:00Z", ...(state === "Running" ? { progress: { done: 1, total: 4 } } : {}) })) },
});

describe("an object with steps", () => {
  test.each([
    [["Done", "Running"], "Running", 0.25, false, true],
    [["Done", "Failed"], "Failed", undefined, true, false],
    [["Done", "Done"], "Done", undefined, false, false],
    [["Pending"], "Waiting", undefined, true, true],
  ])("%j is %s", (states, state, share, retry, cancel) => {
    const operation = ofThing(model(...states), kind, true, () => "now");
    expect(operation.state).toBe(state);
    expect(operation.share).toBe(share);
    expect(operation.retry !== undefined).toBe(retry);
    expect(operation.cancel !== undefined).toBe(cancel);
  });
  test("says by which command the same is done", () => {
    expect(ofThing(model("Failed"), kind, true, () => "now").retry?.command).toBe("kubectl annotate models.stead.dev m -n p --overwrite stead.dev/retry=now");
    expect(ofThing(model("Running"), kind, true).cancel?.command).toBe("stead delete models m -n p");
    expect(ofThing(model("Failed"), kind, false).retry).toBeUndefined();
  });
});

test("batches and evaluations are operations, too", () => {
  const batch = ofBatch({ id: "b", status: "in_progress", created_at: 1, request_counts: { total: 4, completed: 1, failed: 1 } });
  expect(batch).toMatchObject({ state: "Running", share: 0.5, cancel: { command: "stead api POST /v1/batches/b/cancel" } });
  expect(ofBatch({ id: "b", status: "cancelling" }).cancel).toBeUndefined();
  expect(ofBatch({ id: "b", status: "expired" }).state).toBe("Failed");
  const run = ofEvaluation({ id: "e", name: "n", status: "cancelled", progress: { total: 2, done: 1, failed: 0 } }, "p");
  expect(run).toMatchObject({ state: "Cancelled", share: 0.5, retry: { path: "/api/evaluations/e/resume?project=p" } });
  expect(ofEvaluation({ id: "e", name: "n", status: "completed", progress: { total: 2, done: 2, failed: 0 } }, "p").retry).toBeUndefined();
});

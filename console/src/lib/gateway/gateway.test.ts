import { describe, expect, test } from "vitest";
import { by } from "../ui/datalist";
import { expiry, newKey, samples } from "./key";
import { border, moved, percents, share, tiers, withShares } from "./split";

describe("a split", () => {
  test.each([
    [[3, 1], [75, 25]],
    [[1, 1, 1], [34, 33, 33]],
    [[0, 0], [0, 0]],
    [[5], [100]],
    [[0, 2], [0, 100]],
  ])("%j are %j percent", (weights, expected) => expect(percents(weights)).toEqual(expected));
  test.each([
    [[75, 25], 0, 40, [40, 60]],
    [[50, 25, 25], 0, 0, [0, 50, 50]],
    [[100, 0, 0], 0, 40, [40, 30, 30]],
    [[34, 33, 33], 1, 200, [0, 100, 0]],
    [[100], 0, 3, [100]],
  ])("of %j, number %i takes %i", (shares, index, wanted, expected) => {
    const result = share(shares, index, wanted);
    expect(result).toEqual(expected);
    expect(result.reduce((a, b) => a + b)).toBe(100);
  });
  test("whatever is moved, it stays a hundred", () => {
    let seed = 3;
    const next = (below: number) => (seed = (seed * 48271) % 2147483647) % below;
    for (let round = 0; round < 500; round++) {
      const shares = percents(Array.from({ length: 2 + next(5) }, () => next(50)));
      if (shares.every((value) => value === 0)) continue;
      expect(share(shares, next(shares.length), next(120)).reduce((a, b) => a + b)).toBe(100);
      expect(border(shares, next(shares.length - 1), next(120)).reduce((a, b) => a + b)).toBe(100);
    }
  });
  test("a border is between neighbours alone", () => {
    expect(border([20, 30, 50], 0, 35)).toEqual([35, 15, 50]);
    expect(border([20, 30, 50], 1, 90)).toEqual([20, 70, 10]);
    expect(border([20, 30, 50], 1, 5)).toEqual([20, 0, 80]);
  });
  test("tiers are tried in their order, and their shares go back to their places", () => {
    const targets = [{ provider: "a", model: "x", priority: 2 }, { provider: "b", model: "y" }, { provider: "c", model: "z", priority: 1 }];
    expect(tiers(targets)).toEqual([{ priority: 1, indexes: [1, 2] }, { priority: 2, indexes: [0] }]);
    expect(withShares(targets, [1, 2], [70, 30]).map((target) => (target as { weight?: number }).weight)).toEqual([undefined, 70, 30]);
    expect(moved(["a", "b", "c"], 2, -1)).toEqual(["a", "c", "b"]);
    expect(moved(["a"], 0, -1)).toEqual(["a"]);
  });
});

describe("a key", () => {
  test("has 256 random bits, and its hash is as resources spell it", async () => {
    const { key, hash } = await newKey();
    expect(key).toMatch(/^sk-stead-[A-Za-z0-9_-]{43}$/);
    expect(hash).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect((await newKey()).key).not.toBe(key);
  });
  test("is told how to be used, with a model's name that holds anything", () => {
    const curl = samples("https://h", "k", `a'"b`).find((sample) => sample.id === "curl")!.text;
    expect(curl).toContain(`'{"model": "a'\\''\\"b"`);
    expect(expiry("", 0)).toBeUndefined();
    expect(expiry("1", 0)).toBe("1970-01-02T00:00:00Z");
  });
});

test("rows are sorted either way, and what has no value comes last", () => {
  const columns = [{ id: "n", label: "", width: "", value: (row: { n?: number }) => row.n }];
  const rows = [{ n: 2 }, {}, { n: 10 }, { n: 1 }];
  expect(by(rows, columns, "n").map((row) => row.n)).toEqual([1, 2, 10, undefined]);
  expect(by(rows, columns, "-n").map((row) => row.n)).toEqual([10, 2, 1, undefined]);
  expect(by(rows, columns, "other")).toBe(rows);
});

import { describe, expect, test } from "vitest";
import { csv } from "$lib/csv";
import { cumulate } from "$lib/ui/chart";
import { forecast, passed } from "$lib/gateway/quota";
import type { Used } from "$lib/gateway/usage.svelte";
import { moments, seriesOf, table, timeOf } from "./usage";

const used = (group: string[], cost: number): Used => ({ group, requests: 1, errors: 0, usage: { input: 2, output: 3 }, cost: cost * 1e9, unpriced: 0, durationUs: 4000, firstTokenUs: 0, firstTokens: 0 });

describe("a span", () => {
  test("has every hour or day, those without requests too", () => {
    const now = Date.UTC(2026, 10, 30, 17, 30);
    expect(moments("24h", "hour", now)).toHaveLength(25);
    const days = moments("7d", "day", now);
    expect(days).toHaveLength(8);
    expect(days.at(-1)).toBe(timeOf("2026-11-30"));
    expect(timeOf("2026-11-30T17")).toBe(Date.UTC(2026, 10, 30, 17) / 1000);
  });
});

test("the largest groups are told apart, and the rest are one", () => {
  const names = ["a", "b", "c", "d", "e", "f", "g"];
  const items = names.map((name, index) => used(["2026-11-30", name], index + 1));
  const series = seriesOf({ by: [], items, total: used([], 28) }, [timeOf("2026-11-29"), timeOf("2026-11-30")], "cost");
  expect(series.map((item) => item.label)).toEqual(["g", "f", "e", "d", "c", "all others"]);
  expect(series.at(-1)!.values).toEqual([0, 3]);
  expect(cumulate(series.map((item) => item.values)).at(-1)).toEqual([0, 28]);
});

test("a file has the server's total, and nothing that a spreadsheet would calculate", () => {
  const text = csv(table({ by: ["key"], items: [used(['=cmd|"x"'], 0.5)], total: used([], 0.5) }, "key"));
  const lines = text.split("\r\n");
  expect(lines[1]).toBe(`"'=cmd|""x""",1,0,0,0,2,3,0,0,0.5,0,4`);
  expect(lines[2]).toMatch(/^total,1,/);
});

test("what applications' spans cost is counted beside requests", () => {
  const both = { ...used(["a"], 1), spans: { count: 2, input: 5, output: 7, cost: 1e9 }, totalCost: 2e9 };
  expect(table({ by: ["key"], items: [both], total: both }, "key")[1]).toEqual(["a", 1, 0, 0, 2, 7, 10, 0, 0, 2, 0, 4]);
});

describe("a budget", () => {
  test.each([
    ["month", "2026-11-16T00:00:00Z", 0.5],
    ["day", "2026-11-16T06:00:00Z", 0.25],
    ["hour", "2026-11-16T06:15:00Z", 0.25],
    ["minute", "2026-11-16T06:15:30Z", 0.5],
  ])("of a %s has passed at %s by %d", (per, now, expected) => expect(passed(per, new Date(now))).toBeCloseTo(expected));
  test("goes on as so far, and nothing is said at its beginning", () => {
    expect(forecast(10, 0.5)).toBe(20);
    expect(forecast(10, 0.01)).toBeUndefined();
  });
});

/** What the usage page shows, out of the server's sums. Pure. */

import { dollars, inputs, outputs, type Usage, type Used } from "$lib/gateway/usage.svelte";

export const SPANS = [
  { value: "24h", label: "24 hours", by: "hour" },
  { value: "7d", label: "7 days", by: "day" },
  { value: "30d", label: "30 days", by: "day" },
  { value: "90d", label: "90 days", by: "day" },
] as const;

export const GROUPS = [
  { value: "model", label: "Model" },
  { value: "key", label: "Key" },
  { value: "user", label: "User" },
  { value: "provider", label: "Provider" },
  { value: "route", label: "Route" },
  { value: "team", label: "Team" },
  { value: "project", label: "Project" },
] as const;

export const MEASURES = [
  { value: "cost", label: "Cost" },
  { value: "requests", label: "Requests" },
  { value: "tokens", label: "Tokens" },
  { value: "errors", label: "Errors" },
] as const;
export type Measure = (typeof MEASURES)[number]["value"];

export const tokens = (used: Used): number => inputs(used) + outputs(used);

export function measured(used: Used, measure: Measure): number {
  if (measure === "cost") return dollars(used);
  if (measure === "tokens") return tokens(used);
  return used[measure];
}

const HOUR = 3600;
const DAY = 86_400;

/** Every hour or day of a span, as the server names them, in seconds since 1970 (UTC). */
export function moments(span: string, by: "hour" | "day", now: number): number[] {
  const size = by === "hour" ? HOUR : DAY;
  const amount = Number(span.slice(0, -1)) * (span.endsWith("d") ? DAY : HOUR);
  const last = Math.floor(now / 1000 / size) * size;
  const first = Math.floor((now / 1000 - amount) / size) * size;
  return Array.from({ length: (last - first) / size + 1 }, (_, index) => first + index * size);
}

/** The server's name of an hour (`2026-11-30T17`) or a day, in seconds since 1970. */
export function timeOf(name: string | null | undefined): number {
  if (!name) return Number.NaN;
  const text = name.length <= 10 ? `${name}T00:00:00Z` : name.length === 13 ? `${name}:00:00Z` : name;
  return Date.parse(text) / 1000;
}

/** How many groups the chart tells apart; the rest are one. */
const APART = 5;

/** A series of each of the largest groups, and one of all others. */
export function seriesOf(usage: Usage, times: readonly number[], measure: Measure): { label: string; values: number[] }[] {
  const totals = new Map<string, number>();
  for (const item of usage.items) totals.set(item.group[1] ?? "", (totals.get(item.group[1] ?? "") ?? 0) + measured(item, measure));
  const largest = [...totals].sort(([, a], [, b]) => b - a).slice(0, APART).map(([name]) => name);
  const place = new Map(times.map((time, index) => [time, index]));
  const blank = () => times.map(() => 0);
  const series = new Map(largest.map((name) => [name, blank()]));
  const rest = blank();
  for (const item of usage.items) {
    const index = place.get(timeOf(item.group[0]));
    if (index === undefined) continue;
    const values = series.get(item.group[1] ?? "") ?? rest;
    values[index] = (values[index] ?? 0) + measured(item, measure);
  }
  const named = [...series].map(([label, values]) => ({ label: label || "none", values }));
  return rest.some((value) => value > 0) ? [...named, { label: "all others", values: rest }] : named;
}

/** The table as rows for a file. */
export function table(usage: Usage, by: string): (string | number)[][] {
  const head = [by, "requests", "errors", "refused", "spans", "input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens", "cost_usd", "unpriced_requests", "mean_duration_ms"];
  const row = (name: string, used: Used) => [
    name,
    used.requests,
    used.errors,
    used.refused ?? 0,
    used.spans?.count ?? 0,
    inputs(used),
    outputs(used),
    used.usage.cachedInput ?? 0,
    used.usage.reasoning ?? 0,
    dollars(used),
    used.unpriced,
    used.requests === 0 ? 0 : Math.round(used.durationUs / used.requests / 1000),
  ];
  return [head, ...usage.items.map((item) => row(item.group[0] ?? "", item)), row("total", usage.total)];
}

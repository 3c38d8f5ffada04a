/** Limits in words. Pure. */

import { compact, money } from "../format";
import type { QuotaSpec } from "../api/generated/kinds";

export const MEASURES: Record<string, string> = {
  requests: "requests",
  inputTokens: "input tokens",
  outputTokens: "output tokens",
  tokens: "tokens",
  concurrency: "at a time",
  spendUsd: "",
};
export const amount = (measure: string, value: number): string => (measure === "spendUsd" ? money(value) : compact(value));

/** Whom a quota limits. */
export function said(spec: QuotaSpec | undefined): string {
  if (!spec) return "";
  const { kind, name } = spec.subject;
  if (kind === "Project") return "this project";
  if (name === "*") return `each ${kind.toLowerCase()} by itself`;
  return `${kind.toLowerCase()} ${name ?? ""}`;
}

export const FIELDS = [
  { id: "requests", label: "Requests" },
  { id: "tokens", label: "Tokens" },
  { id: "inputTokens", label: "Input tokens" },
  { id: "outputTokens", label: "Output tokens" },
  { id: "spendUsd", label: "US dollars" },
] as const;

/** What a window's budget comes to at its end if it goes on as so far: `used` after `passed` of its length. */
export function forecast(used: number, passed: number): number | undefined {
  // In the first two hundredths of a window nothing can be said.
  return passed < 0.02 ? undefined : used / Math.min(1, passed);
}

/** How much of a calendar window (UTC) has passed, from 0 to 1. */
export function passed(per: string, now: Date): number {
  const at = now.getTime();
  switch (per) {
    case "month": {
      const begin = Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), 1);
      const end = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1);
      return (at - begin) / (end - begin);
    }
    case "day":
      return (at % 86_400_000) / 86_400_000;
    case "hour":
      return (at % 3_600_000) / 3_600_000;
    default:
      return (at % 60_000) / 60_000;
  }
}

/** What was used, as the server sums it up. */

import { get } from "../api/client";
import { asProblem, type Problem } from "../api/problem";

export interface Tokens {
  input?: number;
  output?: number;
  cachedInput?: number;
  reasoning?: number;
  [sort: string]: number | undefined;
}

export interface Used {
  /** What it is a sum of. */
  group: (string | null)[];
  requests: number;
  errors: number;
  refused?: number;
  usage: Tokens;
  /** In billionths of a US dollar. */
  cost: number;
  unpriced: number;
  durationUs: number;
  firstTokenUs: number;
  firstTokens: number;
  /** What applications' spans came to that no request of the gateway's was made for. */
  spans?: { count: number; input: number; output: number; cost: number };
  /** What both cost. */
  totalCost?: number;
}

export interface Usage {
  by: string[];
  items: Used[];
  total: Used;
}

/** What requests and spans cost, in dollars. */
export const dollars = (used: Pick<Used, "cost" | "totalCost">): number => (used.totalCost ?? used.cost) / 1e9;
/** Tokens of requests and spans. */
export const inputs = (used: Used): number => (used.usage.input ?? 0) + (used.spans?.input ?? 0);
export const outputs = (used: Used): number => (used.usage.output ?? 0) + (used.spans?.output ?? 0);
export const failing = (used: Pick<Used, "errors" | "requests">): number => (used.requests === 0 ? 0 : used.errors / used.requests);
/** The mean duration in milliseconds. */
export const mean = (used: Pick<Used, "durationUs" | "requests">): number | undefined => (used.requests === 0 ? undefined : used.durationUs / used.requests / 1000);

export const askUsage = (query: Record<string, string | undefined>): Promise<Usage> => get<Usage>("/api/usage", query);

/** Usage by one thing in a span of time, by its name; asked anew every half minute while a page shows it. */
export function usageBy(what: string, since: string, project: () => string): { readonly now: Map<string, Used>; readonly problem: Problem | undefined } {
  let map = $state.raw(new Map<string, Used>());
  let problem = $state.raw<Problem>();
  $effect(() => {
    const projects = project();
    let ended = false;
    const ask = async () => {
      try {
        const usage = await askUsage({ by: what, since, projects });
        if (ended) return;
        map = new Map(usage.items.map((item) => [item.group[0] ?? "", item]));
        problem = undefined;
      } catch (error) {
        problem = asProblem(error);
      }
    };
    void ask();
    const timer = setInterval(() => document.hidden || void ask(), 30_000);
    return () => {
      ended = true;
      clearInterval(timer);
    };
  });
  return {
    get now() {
      return map;
    },
    get problem() {
      return problem;
    },
  };
}

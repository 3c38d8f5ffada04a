/** How the requests of a route are shared out among its targets. Pure. */

import type { ModelRouteSpec } from "../api/generated/kinds";

export type Target = ModelRouteSpec["targets"][number];

/** Targets of one priority: where each stands in the route's list. */
export interface Tier {
  priority: number;
  indexes: number[];
}

export function tiers(targets: readonly Target[]): Tier[] {
  const found = new Map<number, number[]>();
  targets.forEach((target, index) => {
    const priority = target.priority ?? 1;
    found.set(priority, [...(found.get(priority) ?? []), index]);
  });
  return [...found].sort(([a], [b]) => a - b).map(([priority, indexes]) => ({ priority, indexes }));
}

/** Weights as whole percents that make a hundred; the largest remainders are rounded up. */
export function percents(weights: readonly number[]): number[] {
  const sum = weights.reduce((total, weight) => total + weight, 0);
  if (sum === 0) return weights.map(() => 0);
  const exact = weights.map((weight) => (weight / sum) * 100);
  const result = exact.map(Math.floor);
  const order = exact.map((value, index) => ({ index, rest: value - Math.floor(value) })).sort((a, b) => b.rest - a.rest);
  let left = 100 - result.reduce((total, value) => total + value, 0);
  for (const { index } of order) {
    if (left <= 0) break;
    result[index] = (result[index] ?? 0) + 1;
    left -= 1;
  }
  return result;
}

/** Gives one of them a share; the others keep theirs to each other. */
export function share(shares: readonly number[], index: number, wanted: number): number[] {
  if (shares.length === 1) return [100];
  const now = Math.max(0, Math.min(100, Math.round(wanted)));
  const others = shares.map((value, at) => (at === index ? 0 : value));
  const sum = others.reduce((total, value) => total + value, 0);
  const base = sum === 0 ? others.map((_, at) => (at === index ? 0 : 1)) : others;
  const left = 100 - now;
  const rest = percents(base).map((percent) => (percent / 100) * left);
  const whole = rest.map(Math.floor);
  let over = left - whole.reduce((all, value) => all + value, 0);
  const order = rest.map((value, at) => ({ at, part: value - Math.floor(value) })).filter(({ at }) => at !== index && (base[at] ?? 0) > 0).sort((a, b) => b.part - a.part);
  for (let turn = 0; over > 0 && order.length > 0; turn++, over--) {
    const { at } = order[turn % order.length]!;
    whole[at] = (whole[at] ?? 0) + 1;
  }
  return whole.map((value, at) => (at === index ? now : value));
}

/** Moves the border between two neighbours: what one wins the other loses. */
export function border(shares: readonly number[], index: number, wanted: number): number[] {
  const left = shares.slice(0, index).reduce((total, value) => total + value, 0);
  const both = (shares[index] ?? 0) + (shares[index + 1] ?? 0);
  const own = Math.max(0, Math.min(both, Math.round(wanted - left)));
  return shares.map((value, at) => (at === index ? own : at === index + 1 ? both - own : value));
}

/** Writes the shares of a tier into the targets. */
export function withShares(targets: readonly Target[], indexes: readonly number[], shares: readonly number[]): Target[] {
  return targets.map((target, index) => {
    const at = indexes.indexOf(index);
    return at < 0 ? target : { ...target, weight: shares[at] ?? 0 };
  });
}

/** Moves an item of a list by some places. */
export function moved<T>(list: readonly T[], index: number, by: number): T[] {
  const to = index + by;
  if (to < 0 || to >= list.length) return [...list];
  const rest = list.toSpliced(index, 1);
  return rest.toSpliced(to, 0, list[index]!);
}

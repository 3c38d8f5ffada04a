/** The spans of a trace as rows of a tree with a place in time. Pure. */

import type { Node } from "./api";

export interface Line {
  node: Node;
  depth: number;
  children: number;
  /** Share of the whole, from 0 to 1. */
  from: number;
  width: number;
  /** In microseconds since the first span began. */
  offset: number;
}

/** Rows in the order of a tree, each level by its start; what is below a closed one is left out. */
export function lines(nodes: readonly Node[], closed: ReadonlySet<string>): Line[] {
  const known = new Set(nodes.map((node) => node.id));
  const children = new Map<string, Node[]>();
  let first = Infinity;
  let last = -Infinity;
  for (const node of nodes) {
    const parent = node.parent && node.parent !== node.id && known.has(node.parent) ? node.parent : "";
    const list = children.get(parent);
    if (list) list.push(node);
    else children.set(parent, [node]);
    const start = micros(node.start);
    first = Math.min(first, start);
    last = Math.max(last, start + (node.durationUs ?? 0));
  }
  const whole = Math.max(1, last - first);
  const rows: Line[] = [];
  // A stack rather than recursion: a trace may be as deep as it is long.
  const stack = (children.get("") ?? []).map((node) => ({ node, depth: 0 })).reverse();
  const seen = new Set<string>();
  while (stack.length > 0) {
    const { node, depth } = stack.pop()!;
    if (seen.has(node.id)) continue;
    seen.add(node.id);
    const below = children.get(node.id) ?? [];
    const offset = micros(node.start) - first;
    rows.push({ node, depth, children: below.length, offset, from: offset / whole, width: Math.min(1 - offset / whole, (node.durationUs ?? 0) / whole) });
    if (!closed.has(node.id)) for (let index = below.length - 1; index >= 0; index--) stack.push({ node: below[index]!, depth: depth + 1 });
  }
  // What hangs in a circle has no beginning; it is shown all the same.
  for (const node of nodes) {
    if (!seen.has(node.id) && !isBelowClosed(node, nodes, closed, seen)) {
      const offset = micros(node.start) - first;
      rows.push({ node, depth: 0, children: 0, offset, from: offset / whole, width: (node.durationUs ?? 0) / whole });
    }
  }
  return rows;
}

function isBelowClosed(node: Node, nodes: readonly Node[], closed: ReadonlySet<string>, shown: ReadonlySet<string>): boolean {
  if (closed.size === 0) return false;
  const byId = new Map(nodes.map((other) => [other.id, other]));
  let at: Node | undefined = node;
  for (let steps = 0; at && steps < nodes.length; steps++) {
    if (at.parent && shown.has(at.parent)) return true;
    at = at.parent ? byId.get(at.parent) : undefined;
  }
  return false;
}

/** Microseconds since 1970 of a time with up to nine digits of a second. */
export function micros(time: string): number {
  const fraction = /\.(\d+)/.exec(time)?.[1] ?? "";
  const whole = Date.parse(time.replace(/\.\d+/, ""));
  return (Number.isNaN(whole) ? 0 : whole) * 1000 + Number(fraction.padEnd(6, "0").slice(0, 6) || 0);
}

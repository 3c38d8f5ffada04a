/** What the command palette offers besides pages: actions that pages and the shell register while they are there. */

import { untrack, type Component } from "svelte";

export interface Action {
  id: string;
  label: string;
  /** Under which heading: `Go to`, `Act`, … */
  group: string;
  icon?: Component<{ class?: string }>;
  keys?: string;
  /** Words by which it is found too. */
  words?: string;
  run: () => void;
}

class Actions {
  list = $state.raw<Action[]>([]);

  add(...actions: Action[]): () => void {
    this.list = [...untrack(() => this.list), ...actions];
    return () => (this.list = untrack(() => this.list).filter((action) => !actions.includes(action)));
  }
}

export const actions = new Actions();

/** Actions for as long as a component is there: call it while one is initialised. */
export function offer(...list: Action[]): void {
  $effect(() => actions.add(...list));
}

/**
 * How well a text is found by what was typed: all its letters in order, better when together and at beginnings of
 * words; 0 when not at all. Pure.
 */
export function rank(text: string, typed: string): number {
  const wanted = typed.toLowerCase().replace(/\s+/g, "");
  if (wanted === "") return 1;
  const lower = text.toLowerCase();
  const whole = lower.indexOf(typed.toLowerCase().trim());
  if (whole >= 0) return 1000 - whole + (whole === 0 || lower[whole - 1] === " " ? 500 : 0) - lower.length / 100;
  let score = 1;
  let at = -1;
  for (const letter of wanted) {
    const next = lower.indexOf(letter, at + 1);
    if (next < 0) return 0;
    score += next === at + 1 ? 6 : lower[next - 1] === " " ? 4 : 1;
    at = next;
  }
  return score;
}

/** Short messages at the edge: what was done, with a way back where there is one, and what failed. */

import { asProblem, type Problem } from "./api/problem";

export interface Toast {
  id: number;
  text: string;
  problem?: Problem;
  undo?: () => void | Promise<void>;
}

const STAYS = 6000;
const PROBLEM_STAYS = 12000;

class Toasts {
  list = $state<Toast[]>([]);
  #next = 0;

  /** Says what was done; with `undo`, for six seconds there is a way back. */
  say(text: string, undo?: () => void | Promise<void>): void {
    this.#add({ id: this.#next++, text, ...(undo ? { undo } : {}) }, STAYS);
  }

  /** Says what failed. */
  fail(thrown: unknown): void {
    if (thrown instanceof DOMException && thrown.name === "AbortError") return;
    const problem = asProblem(thrown);
    this.#add({ id: this.#next++, text: problem.what, problem }, PROBLEM_STAYS);
  }

  close(id: number): void {
    this.list = this.list.filter((toast) => toast.id !== id);
  }

  async undo(toast: Toast): Promise<void> {
    this.close(toast.id);
    try {
      await toast.undo?.();
    } catch (error) {
      this.fail(error);
    }
  }

  #add(toast: Toast, stays: number): void {
    this.list = [...this.list.slice(-3), toast];
    setTimeout(() => this.close(toast.id), stays);
  }
}

export const toasts = new Toasts();

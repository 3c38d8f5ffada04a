/** The list of conversations. */

import { asProblem, type Problem } from "$lib/api/problem";
import { changeThread, deleteThread, listThreads, type Thread } from "$lib/chat/threads";
import { toasts } from "$lib/toasts.svelte";

export class ThreadList {
  items = $state.raw<Thread[]>([]);
  loaded = $state(false);
  problem = $state.raw<Problem | undefined>(undefined);
  #next: string | undefined;
  #busy = false;

  folders = $derived([...new Set(this.items.map((thread) => thread.folder).filter(Boolean))].sort());

  constructor(readonly project: () => string) {
    $effect(() => {
      void this.load(this.project());
    });
  }

  async load(project: string): Promise<void> {
    try {
      const page = await listThreads(project);
      this.items = page.items;
      this.#next = page.next;
      this.problem = undefined;
    } catch (error) {
      this.problem = asProblem(error);
    }
    this.loaded = true;
  }

  async more(): Promise<void> {
    if (!this.#next || this.#busy) return;
    this.#busy = true;
    try {
      const page = await listThreads(this.project(), this.#next);
      const known = new Set(this.items.map((thread) => thread.id));
      this.items = [...this.items, ...page.items.filter((thread) => !known.has(thread.id))];
      this.#next = page.next;
    } catch (error) {
      toasts.fail(error);
    }
    this.#busy = false;
  }

  /** A thread that is new, or was changed. */
  put(thread: Thread): void {
    this.items = [thread, ...this.items.filter((other) => other.id !== thread.id)].sort((a, b) => (a.updated < b.updated ? 1 : -1));
  }

  async change(thread: Thread, change: Partial<Thread>): Promise<void> {
    try {
      const changed = await changeThread(this.project(), thread.id, change);
      this.items = this.items.map((other) => (other.id === thread.id ? changed : other));
    } catch (error) {
      toasts.fail(error);
    }
  }

  /** Takes a thread out of sight at once and removes it once nobody wants it back. */
  remove(thread: Thread): void {
    const before = this.items;
    this.items = this.items.filter((other) => other.id !== thread.id);
    const project = this.project();
    let wanted = false;
    const timer = setTimeout(() => {
      if (!wanted) deleteThread(project, thread.id).catch((error) => {
        this.items = before;
        toasts.fail(error);
      });
    }, 6000);
    toasts.say(`“${thread.title || "New chat"}” is deleted`, () => {
      wanted = true;
      clearTimeout(timer);
      this.put(thread);
    });
  }
}

/** Threads under headings: pinned, then each folder, then by day. Pure. */
export function grouped(threads: readonly Thread[], now = new Date()): { name: string; items: Thread[]; folder: boolean }[] {
  const groups = new Map<string, { name: string; items: Thread[]; folder: boolean }>();
  const put = (name: string, thread: Thread, folder = false) => {
    const key = (folder ? "f" : "d") + name;
    const group = groups.get(key) ?? { name, items: [], folder };
    group.items.push(thread);
    groups.set(key, group);
  };
  for (const thread of threads.filter((thread) => thread.pinned)) put("Pinned", thread);
  const rest = threads.filter((thread) => !thread.pinned);
  const folders = [...new Set(rest.map((thread) => thread.folder).filter(Boolean))].sort();
  for (const folder of folders) for (const thread of rest) if (thread.folder === folder) put(folder, thread, true);
  for (const thread of rest) if (!thread.folder) put(day(new Date(thread.updated), now), thread);
  return [...groups.values()];
}

function day(when: Date, now: Date): string {
  const start = (date: Date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
  const days = Math.round((start(now) - start(when)) / 86_400_000);
  if (days <= 0) return "Today";
  if (days === 1) return "Yesterday";
  if (days < 7) return "Last 7 days";
  if (days < 30) return "Last 30 days";
  return when.toLocaleDateString("en", { month: "long", year: "numeric" });
}

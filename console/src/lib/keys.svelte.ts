/**
 * Keys. Pages say what a key does while they are there; the `?` sheet lists it. A sequence is written with a space
 * (`g t`), a chord with `Mod` (Ctrl, or Cmd on a Mac).
 */

import { untrack } from "svelte";

export interface Binding {
  keys: string;
  label: string;
  /** Under which heading the sheet shows it. */
  group: string;
  run: (event: KeyboardEvent) => void;
  /** Also while a text is being written. */
  always?: true;
  /** Not shown in the sheet. */
  hidden?: true;
}

/** How long the second key of a sequence is waited for, in milliseconds. */
const PATIENCE = 1200;

/** What a key event is called: `Mod+k`, `?`, `Escape`. Pure. */
export function nameOf(event: Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "altKey" | "shiftKey">): string {
  const key = event.key === " " ? "Space" : event.key;
  const shift = event.shiftKey && key.length > 1 ? "Shift+" : "";
  return (event.ctrlKey || event.metaKey ? "Mod+" : "") + (event.altKey ? "Alt+" : "") + shift + key;
}

/** Which binding a key completes, or whether it may begin one. Pure. */
export function step(pending: string | undefined, key: string, bindings: readonly Binding[]): { run?: Binding; pending?: string } {
  const whole = pending ? `${pending} ${key}` : key;
  const run = bindings.findLast((binding) => binding.keys === whole);
  if (run) return { run };
  if (bindings.some((binding) => binding.keys.startsWith(`${whole} `))) return { pending: whole };
  return pending ? step(undefined, key, bindings) : {};
}

function isWriting(target: EventTarget | null): boolean {
  const element = target as HTMLElement | null;
  if (!element?.tagName) return false;
  if (element.isContentEditable || element.tagName === "TEXTAREA" || element.tagName === "SELECT") return true;
  return element.tagName === "INPUT" && !["checkbox", "radio", "button", "range"].includes((element as HTMLInputElement).type);
}

class Keys {
  bindings = $state.raw<Binding[]>([]);
  #pending: string | undefined;
  #since = 0;

  start(): () => void {
    const pressed = (event: KeyboardEvent) => this.#pressed(event);
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }

  /** Adds bindings until what is returned is called; later ones win. */
  add(...bindings: Binding[]): () => void {
    // Who adds in an effect depends on nothing by it.
    this.bindings = [...untrack(() => this.bindings), ...bindings];
    return () => (this.bindings = untrack(() => this.bindings).filter((binding) => !bindings.includes(binding)));
  }

  #pressed(event: KeyboardEvent): void {
    if (event.defaultPrevented || event.isComposing || ["Control", "Shift", "Alt", "Meta"].includes(event.key)) return;
    const busy = isWriting(event.target) || document.querySelector("[data-modal]") !== null;
    const bindings = busy ? this.bindings.filter((binding) => binding.always) : this.bindings;
    const pending = event.timeStamp - this.#since < PATIENCE ? this.#pending : undefined;
    const found = step(pending, nameOf(event), bindings);
    this.#pending = found.pending;
    this.#since = event.timeStamp;
    if (!found.run) return;
    event.preventDefault();
    found.run.run(event);
  }
}

export const keys = new Keys();

/** Bindings for as long as a component is there: call it while one is initialised. */
export function bind(...bindings: Binding[]): void {
  $effect(() => keys.add(...bindings));
}

/** Whether this is a Mac, where chords are shown by their signs. */
export const isMac = typeof navigator !== "undefined" && /Mac|iPhone|iPad/.test(navigator.userAgent);

/** A binding's keys as caps: `Mod+k` is `Ctrl K`. Pure but for the machine. */
export function caps(text: string, mac = isMac): string[][] {
  return text.split(" ").map((chord) =>
    chord.split(/\+(?=.)/).map((key) => {
      if (key === "Mod") return mac ? "⌘" : "Ctrl";
      if (key === "Enter") return "↵";
      if (key === "Escape") return "Esc";
      return key.length === 1 ? key.toUpperCase() : key;
    }),
  );
}

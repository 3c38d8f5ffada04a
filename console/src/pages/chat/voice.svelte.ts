/** Reads answers aloud, one at a time, and listens to what is dictated. */

import { Problem } from "$lib/api/problem";
import { hear, speak, spoken } from "$lib/chat/speech";
import { toasts } from "$lib/toasts.svelte";

class Reader {
  /** The message that is read. */
  now = $state<string | undefined>();
  /** Whether its sound is still waited for. */
  waiting = $state(false);
  #stop = new AbortController();
  #sound: HTMLAudioElement | undefined;

  /** Reads a message, or stops reading it. */
  async read(id: string, text: string, project: string, model: string): Promise<void> {
    const again = this.now === id;
    this.stop();
    if (again) return;
    const stop = (this.#stop = new AbortController());
    this.now = id;
    this.waiting = true;
    try {
      const pieces = spoken(text);
      // While one is heard, the next one is made.
      let next = pieces[0] === undefined ? undefined : speak(project, model, pieces[0], stop.signal);
      for (let index = 0; next; index++) {
        const sound = await next;
        const piece = pieces[index + 1];
        next = piece === undefined ? undefined : speak(project, model, piece, stop.signal);
        next?.catch(() => {});
        await this.#play(sound, stop.signal);
      }
    } catch (error) {
      if (!stop.signal.aborted) toasts.fail(error);
    }
    if (this.#stop === stop) this.stop();
  }

  stop(): void {
    this.#stop.abort();
    this.#sound?.pause();
    this.#sound = undefined;
    this.now = undefined;
    this.waiting = false;
  }

  async #play(sound: Blob, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const address = URL.createObjectURL(sound);
    const player = (this.#sound = new Audio(address));
    try {
      await new Promise<void>((resolve, reject) => {
        signal.addEventListener("abort", () => resolve(), { once: true });
        player.onended = () => resolve();
        player.onerror = () => reject(new Error("the sound cannot be played"));
        player.play().then(() => (this.waiting = false), (error: unknown) => (signal.aborted ? resolve() : reject(error as Error)));
      });
    } finally {
      URL.revokeObjectURL(address);
    }
  }
}

export const reader = new Reader();

/** Whether this browser lets a page hear: it does for secure addresses alone. */
export const canRecord = (): boolean => typeof MediaRecorder !== "undefined" && navigator.mediaDevices !== undefined;

/** One dictation after another. */
export class Dictation {
  state = $state<"off" | "on" | "reading">("off");
  #recorder: MediaRecorder | undefined;

  /** Begins to listen, or ends it and hands over what was said. */
  async turn(project: string, model: string, said: (text: string) => void): Promise<void> {
    if (this.state === "reading") return;
    if (this.state === "on") return this.#recorder?.stop();
    try {
      const source = await navigator.mediaDevices.getUserMedia({ audio: true });
      const recorder = (this.#recorder = new MediaRecorder(source));
      const pieces: Blob[] = [];
      recorder.ondataavailable = (event) => pieces.push(event.data);
      recorder.onstop = () => {
        for (const track of source.getTracks()) track.stop();
        if (this.#recorder === recorder) void this.#end(recorder, new Blob(pieces, { type: recorder.mimeType }), project, model, said);
      };
      recorder.start();
      this.state = "on";
    } catch (error) {
      this.state = "off";
      toasts.fail(new Problem({ what: "This page cannot hear you", why: (error as Error).message, hint: "allow the microphone for this page in the browser", status: 0 }));
    }
  }

  /** Stops listening; what was said is thrown away. */
  cancel(): void {
    const recorder = this.#recorder;
    this.#recorder = undefined;
    if (recorder?.state === "recording") recorder.stop();
    this.state = "off";
  }

  async #end(recorder: MediaRecorder, sound: Blob, project: string, model: string, said: (text: string) => void): Promise<void> {
    this.state = "reading";
    // What was cancelled meanwhile is not handed over.
    const wanted = () => this.#recorder === recorder;
    try {
      const text = await hear(project, model, sound);
      if (wanted() && text) said(text);
    } catch (error) {
      if (wanted()) toasts.fail(error);
    }
    if (wanted()) this.cancel();
  }
}

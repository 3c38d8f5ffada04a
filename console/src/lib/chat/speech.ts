/** Speaking and listening by models: which of them can, what is read aloud of an answer, and asking them. */

import { send } from "../api/client";
import type { Provider, ModelRoute } from "../gateway/types";

/** The models of this project that can, if any. */
export interface Abilities {
  /** Makes sound of text, by `/v1/audio/speech`. */
  speaks?: string;
  /** Makes text of sound, by `/v1/audio/transcriptions`. */
  hears?: string;
}

// Providers do not say what their models can; they are known by what they are called, and by what they charge for.
const SPEAKS = /(^|[^a-z])(tts|xtts|kokoro|piper|orpheus|chatterbox|bark|speecht5|parler|eleven_[a-z0-9_]+)([^a-z]|$)/i;
const HEARS = /(^|[^a-z])(whisper|transcribe|parakeet|canary|voxtral|moonshine|sensevoice|scribe|asr|stt)([^a-z]|$)/i;

/** Whether a provider's name of a model fits a pattern of its prices, in which `*` stands for any letters. */
const fits = (pattern: string, model: string): boolean =>
  new RegExp(`^${pattern.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&")).join(".*")}$`).test(model);

/** Which of the models that may be asked can speak and hear: routes by what they lead to, and providers' own models. Pure. */
export function abilities(models: readonly string[], routes: readonly ModelRoute[], providers: readonly Provider[]): Abilities {
  const charged = (provider: string, model: string) => providers.find((item) => item.metadata.name === provider)?.spec?.prices?.find((price) => fits(price.model, model));
  const can = (provider: string, model: string) => {
    const price = charged(provider, model);
    return { speaks: SPEAKS.test(model) || !!price?.perMillionCharacters, hears: HEARS.test(model) };
  };
  const found: Abilities = {};
  // A route comes before what it leads to.
  for (const name of [...models].sort((a, b) => Number(a.includes("/")) - Number(b.includes("/")))) {
    const route = routes.find((item) => item.metadata.name === name);
    const slash = name.indexOf("/");
    const targets = route ? (route.spec?.targets ?? []) : slash > 0 ? [{ provider: name.slice(0, slash), model: name.slice(slash + 1) }] : [];
    const all = targets.map((target) => can(target.provider, target.model));
    if (all.length === 0) continue;
    if (all.every((one) => one.speaks)) found.speaks ??= name;
    if (all.every((one) => one.hears)) found.hears ??= name;
  }
  return found;
}

/** The most letters that are spoken at a time: OpenAI's own limit is 4,096. */
const MOST = 3000;

/** What is read aloud of an answer in Markdown: its words, without signs, code and formulas, in pieces that end with sentences. Pure. */
export function spoken(markdown: string): string[] {
  const text = markdown
    .replace(/^(`{3,}|~{3,})[\s\S]*?(^\1[^\S\n]*$|$(?![\s\S]))/gm, "\n")
    .replace(/\$\$[\s\S]*?\$\$|\\\[[\s\S]*?\\\]|\\\(.*?\\\)/g, " ")
    .replace(/!\[([^\]]*)\]\([^)]*\)|\[([^\]]*)\]\([^)]*\)/g, "$1$2")
    .replace(/https?:\/\/\S+/g, " ")
    .replace(/^\s*\|?[\s:|-]*-{3,}[\s:|-]*$/gm, "")
    .replace(/^\s{0,3}(#{1,6}|>|[-*+]|\d+\.)\s+/gm, "")
    .replace(/\|/g, " ")
    .replace(/(?<!\w)[*_~`]{1,3}(?=\S)|(?<=\S)[*_~`]{1,3}(?!\w)/g, "")
    .replace(/[^\S\n]+/g, " ")
    .replace(/ ?\n ?/g, "\n")
    .replace(/\n{2,}/g, "\n")
    .trim();
  const pieces: string[] = [];
  let rest = text;
  while (rest.length > MOST) {
    const part = rest.slice(0, MOST);
    const end = Math.max(...[". ", "! ", "? ", "\n", "。"].map((sign) => part.lastIndexOf(sign)));
    const at = end > MOST / 4 ? end + 1 : part.lastIndexOf(" ") > 0 ? part.lastIndexOf(" ") : MOST;
    pieces.push(rest.slice(0, at).trim());
    rest = rest.slice(at).trim();
  }
  return rest ? [...pieces, rest] : pieces;
}

/** The voice that nearly every server knows, and the one that was chosen on this machine. */
export const USUAL = "alloy";
const KEY = "stead.chat.voice";
export const voice = (): string => localStorage.getItem(KEY) || USUAL;
export const chooseVoice = (name: string): void => (name.trim() ? localStorage.setItem(KEY, name.trim()) : localStorage.removeItem(KEY));

/** A piece of text as sound. */
export async function speak(project: string, model: string, input: string, signal: AbortSignal): Promise<Blob> {
  const response = await send("POST", "/v1/audio/speech", { body: { model, input, voice: voice(), response_format: "mp3" }, headers: { "x-stead-project": project }, signal });
  return response.blob();
}

/** What somebody said. */
export async function hear(project: string, model: string, sound: Blob): Promise<string> {
  const form = new FormData();
  form.append("model", model);
  form.append("response_format", "json");
  form.append("file", sound, `dictation.${/mp4/.test(sound.type) ? "mp4" : /ogg/.test(sound.type) ? "ogg" : "webm"}`);
  const response = await send("POST", "/v1/audio/transcriptions", { body: form, headers: { "x-stead-project": project } });
  return ((await response.json()) as { text?: string }).text?.trim() ?? "";
}

/** Completing the filter language of traces: `model:qwen3 status:error latency>500ms`. Pure. */

import type { Row } from "./api";

export const FIELDS: Record<string, string> = {
  model: "the model, in part",
  provider: "who answered",
  status: "ok, error, running, cancelled, interrupted",
  name: "what it is called",
  latency: "how long it took: latency>500ms",
  ttft: "time to the first token",
  cost: "in dollars: cost>0.01",
  tokens: "all of them: tokens>1000",
  "tokens.input": "of the question",
  "tokens.output": "of the answer",
  user: "who asked",
  key: "by which key",
  source: "application or gateway",
  application: "an application's project",
  thread: "a conversation's id",
  tag: "a tag",
  env: "an environment",
  id: "a trace's id",
  error: "words of an error",
  http: "the HTTP status: http>=500",
  spans: "how many: spans>10",
};

const VALUES: Record<string, string[]> = {
  status: ["ok", "error", "running", "cancelled", "interrupted"],
  source: ["application", "gateway"],
  latency: [">500ms", ">1s", ">5s", ">30s"],
  ttft: [">200ms", ">1s"],
  cost: [">0.001", ">0.01", ">0.1"],
  tokens: [">1000", ">10000"],
  http: [">=400", ">=500", "=429"],
};

export interface Offer {
  /** What the word becomes. */
  text: string;
  about: string;
}

/** The word that the cursor is in, and where it begins. */
export function wordAt(text: string, cursor: number): { word: string; start: number } {
  let start = 0;
  let quoted = false;
  for (let index = 0; index < cursor; index++) {
    if (text[index] === '"') quoted = !quoted;
    else if (text[index] === " " && !quoted) start = index + 1;
  }
  return { word: text.slice(start, cursor), start };
}

/** What may stand where the cursor is; values are those that are seen in the list. */
export function offers(text: string, cursor: number, rows: readonly Row[]): Offer[] {
  const { word } = wordAt(text, cursor);
  const denied = word.startsWith("-") ? "-" : "";
  const plain = word.slice(denied.length).toLowerCase();
  const parts = /^([a-z.]+)(:|!=|>=|<=|=|>|<)(.*)$/.exec(plain);
  if (!parts) {
    return Object.entries(FIELDS)
      .filter(([name]) => name.startsWith(plain))
      .map(([name, about]) => ({ text: `${denied}${name}${VALUES[name]?.[0]?.match(/^[<>=]/) ? "" : ":"}`, about }));
  }
  const [, field, sign, typed] = parts as unknown as [string, string, string, string];
  const fixed = VALUES[field] ?? [];
  if (fixed[0]?.match(/^[<>=]/)) return fixed.map((value) => ({ text: `${denied}${field}${value}`, about: "" }));
  const seen = fixed.length > 0 ? fixed : [...new Set(rows.flatMap((row) => valuesOf(row, field)))].sort();
  return seen
    .filter((value) => value.toLowerCase().includes(typed.replace(/^"/, "")) && value.toLowerCase() !== typed)
    .slice(0, 12)
    .map((value) => ({ text: `${denied}${field}${sign}${/\s/.test(value) ? `"${value}"` : value}`, about: "" }));
}

function valuesOf(row: Row, field: string): string[] {
  const all: Record<string, (string | undefined)[]> = {
    model: row.models ?? [],
    provider: row.providers ?? [],
    name: [row.name],
    user: [row.user],
    key: [row.key],
    application: [row.application],
    thread: [row.thread],
    tag: row.tags ?? [],
    env: [row.environment],
  };
  return (all[field] ?? []).filter((value): value is string => !!value);
}

/** Puts an offer in the place of the word. */
export function take(text: string, cursor: number, offer: Offer): { text: string; cursor: number } {
  const { start } = wordAt(text, cursor);
  const open = /[:=<>]$/.test(offer.text) || !/[:=<>]/.test(offer.text);
  const put = offer.text + (open ? "" : " ");
  return { text: text.slice(0, start) + put + text.slice(cursor).trimStart(), cursor: start + put.length };
}

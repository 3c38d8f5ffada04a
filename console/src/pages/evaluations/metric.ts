/** What a suite can measure: the sorts of metrics with their settings, as the server takes them. Pure. */

import type { EvaluationRuleSpec } from "$lib/api/generated/kinds";

/** A metric as the server takes it. */
export type Definition = EvaluationRuleSpec["metrics"][number];
export type Sort = Definition["type"];
type Setting = Exclude<keyof Definition, "type" | "name">;

/** A metric as it is written in the form: texts, until it is sent. */
export interface Draft {
  key: number;
  type: Sort;
  name: string;
  values: Partial<Record<Setting, string>>;
}

interface Field {
  label: string;
  /** How it is written; `rows` are lines of which each is one, `json` is any JSON. */
  how: "line" | "text" | "rows" | "words" | "code" | "json" | "number" | "choice" | "model";
  hint?: string;
  options?: readonly { value: string; label: string }[];
  least?: number;
  most?: number;
  step?: number | "any";
  /** Must be given. */
  needed?: boolean;
}
interface Metric {
  /** Under which heading it is chosen. */
  group: "Against what was expected" | "By rules" | "By a model";
  what: string;
  settings: Partial<Record<Setting, Partial<Field>>>;
  /** Whether the suite's judge decides, where it names no model. */
  judge?: true;
}

const FIELDS: Record<Setting, Field> = {
  expected: { label: "Expected, instead of what the dataset says", how: "text" },
  caseSensitive: { label: "Capital letters", how: "choice", options: [{ value: "", label: "As usual for it" }, { value: "true", label: "Matter" }, { value: "false", label: "Do not matter" }] },
  pattern: { label: "Regular expression", how: "code", hint: "^\\d+$", needed: true },
  schema: { label: "JSON schema of the answer", how: "json", hint: '{"type": "object", "required": ["city"]}', needed: true },
  measure: { label: "What counts", how: "choice" },
  order: { label: "Order of the calls", how: "choice", options: [{ value: "", label: "Any" }, { value: "same", label: "As expected" }] },
  max: { label: "At most", how: "number", least: 0, step: "any", needed: true },
  detectors: { label: "Detectors", how: "words", hint: "pii, secrets, email" },
  model: { label: "Model", how: "model" },
  votes: { label: "How often it is asked", how: "number", least: 1, most: 20, step: 1, hint: "1" },
  temperature: { label: "Temperature", how: "number", least: 0, most: 2, step: "any", hint: "0" },
  task: { label: "What the task is", how: "text" },
  criteria: { label: "Criteria", how: "text", hint: "The answer is one city and not a sentence.", needed: true },
  steps: { label: "Steps, one a line (the model writes them without)", how: "rows" },
  messages: { label: "What the judge is asked, as messages in JSON", how: "json", hint: '[{"role": "user", "content": "Is {{output}} polite?"}]', needed: true },
  scores: { label: "Scores that it gives, in JSON", how: "json", hint: '[{"name": "polite", "type": "boolean", "description": "whether it is"}]', needed: true },
};

const OVERLAP = { options: [{ value: "", label: "F1" }, { value: "precision", label: "Precision" }, { value: "recall", label: "Recall" }] };
const LETTERS = { options: [{ value: "", label: "Letters put in and taken out" }, { value: "edits", label: "Letters replaced, too" }] };
const JUDGE = { model: { label: "Judge" }, votes: {}, temperature: {} };

/** Every sort of metric, with the settings that the server takes for it. */
export const METRICS: Record<Sort, Metric> = {
  equals: { group: "Against what was expected", what: "The answer is what was expected.", settings: { expected: {}, caseSensitive: {} } },
  contains: { group: "Against what was expected", what: "The answer holds what was expected.", settings: { expected: {}, caseSensitive: {} } },
  levenshtein: { group: "Against what was expected", what: "How few letters differ from what was expected.", settings: { measure: LETTERS, caseSensitive: {}, expected: {} } },
  "token-f1": { group: "Against what was expected", what: "How many words are those that were expected.", settings: { expected: {} } },
  bleu: { group: "Against what was expected", what: "How many groups of up to four words are those that were expected.", settings: { expected: {}, caseSensitive: {} } },
  "rouge-1": { group: "Against what was expected", what: "How many words of the expected text stand in it.", settings: { measure: OVERLAP, expected: {} } },
  "rouge-2": { group: "Against what was expected", what: "How many pairs of words of the expected text stand in it.", settings: { measure: OVERLAP, expected: {} } },
  "rouge-l": { group: "Against what was expected", what: "How much of the expected text stands in the same order.", settings: { measure: OVERLAP, expected: {} } },
  "embedding-cosine": { group: "Against what was expected", what: "How near its meaning is to what was expected.", settings: { model: { label: "Embedding model", needed: true }, expected: {} } },
  "tool-calls": { group: "Against what was expected", what: "Whether the expected tools were called as expected.", settings: { order: {} } },
  regex: { group: "By rules", what: "The expression matches somewhere in the answer.", settings: { pattern: {} } },
  "json-schema": { group: "By rules", what: "The answer is JSON that fits a schema.", settings: { schema: {} } },
  pii: { group: "By rules", what: "The answer holds no personal data.", settings: { detectors: {} } },
  "latency-budget": { group: "By rules", what: "The answer took no longer.", settings: { max: { label: "Milliseconds at most", hint: "10000" } } },
  "cost-budget": { group: "By rules", what: "The answer cost no more.", settings: { max: { label: "US dollars at most", hint: "0.01" } } },
  "token-budget": { group: "By rules", what: "The answer took no more tokens.", settings: { max: { label: "Tokens at most", hint: "500" } } },
  "g-eval": { group: "By a model", what: "A model judges by criteria of yours.", judge: true, settings: { criteria: {}, ...JUDGE, task: {}, steps: {}, expected: {} } },
  hallucination: { group: "By a model", what: "A model judges whether the answer is made up.", judge: true, settings: { ...JUDGE, expected: {} } },
  "answer-relevance": { group: "By a model", what: "A model judges whether the question is answered.", judge: true, settings: { ...JUDGE, expected: {} } },
  "context-precision": { group: "By a model", what: "A model judges whether the context is what the answer needs.", judge: true, settings: { ...JUDGE, expected: {} } },
  "context-recall": { group: "By a model", what: "A model judges whether the context has all that the answer needs.", judge: true, settings: { ...JUDGE, expected: {} } },
  prompt: { group: "By a model", what: "A model judges by messages and scores of yours.", judge: true, settings: { messages: {}, scores: {}, ...JUDGE, expected: {} } },
};

/** Every sort, in the order in which they are offered. */
export const SORTS = Object.keys(METRICS) as Sort[];

/** The settings of a sort, each with how it is written. */
export const fieldsOf = (type: Sort): (Field & { name: Setting })[] =>
  Object.entries(METRICS[type].settings).map(([name, own]) => ({ ...FIELDS[name as Setting], ...own, name: name as Setting }));

let last = 0;
export const draft = (type: Sort): Draft => ({ key: ++last, type, name: "", values: {} });

/** What is written in a field, as the server takes it; `undefined` where nothing is. Throws where it cannot be read. */
function read(field: Field, text: string): unknown {
  if (text.trim() === "") return undefined;
  if (field.how === "number") {
    const value = Number(text);
    if (!Number.isFinite(value)) throw new Error("is no number");
    return value;
  }
  if (field.how === "rows") return text.split("\n").map((line) => line.trim()).filter(Boolean);
  if (field.how === "words") return text.split(/[\s,]+/).filter(Boolean);
  if (field.how === "choice" && (text === "true" || text === "false")) return text === "true";
  if (field.how !== "json") return text;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new Error("is no JSON yet");
  }
}

/** What is wrong with a field; nothing where it can be sent. */
export function wrongIn(field: Field, text: string | undefined): string | undefined {
  try {
    return read(field, text ?? "") === undefined && field.needed ? "must be given" : undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Whether everything that it needs is there and can be read. */
export const ready = (metric: Draft): boolean => fieldsOf(metric.type).every((field) => wrongIn(field, metric.values[field.name]) === undefined);

/** A metric as it is sent: its type, and those of its settings that belong to it and say something. */
export function definitionOf(metric: Draft): Definition {
  const definition: Record<string, unknown> = { type: metric.type };
  if (metric.name.trim()) definition["name"] = metric.name.trim();
  for (const field of fieldsOf(metric.type)) {
    const text = metric.values[field.name] ?? "";
    if (wrongIn(field, text) === undefined) {
      const value = read(field, text);
      if (value !== undefined) definition[field.name] = value;
    }
  }
  return definition as Definition;
}

/** Whether one of them is judged by the suite's judge. */
export const wantsJudge = (metrics: readonly Draft[]): boolean => metrics.some((metric) => METRICS[metric.type].judge && !metric.values.model);

/** Traces of applications and requests of the gateway, as `/api/traces` tells them. */

import { get } from "../api/client";
import { opik, type Page } from "../api/opik";

export interface Tokens {
  input?: number;
  output?: number;
  total?: number;
}

export type Status = "ok" | "error" | "running" | "cancelled" | "interrupted";

export interface Row {
  id: string;
  traceId?: string;
  source: "application" | "gateway";
  project: string;
  application?: string;
  name: string;
  start: string;
  durationUs?: number;
  firstTokenUs?: number;
  status: Status;
  httpStatus?: number;
  error?: string;
  models?: string[];
  providers?: string[];
  spans?: number;
  tokens?: Tokens;
  /** In billionths of a dollar. */
  cost?: number;
  user?: string;
  key?: string;
  thread?: string;
  environment?: string;
  tags?: string[];
  labels?: Record<string, string>;
  input?: string;
  output?: string;
}

export interface Node {
  id: string;
  parent?: string;
  source: "application" | "gateway";
  type: string;
  name: string;
  start: string;
  durationUs?: number;
  status: Status;
  model?: string;
  provider?: string;
  tokens?: Tokens;
  cost?: number;
  error?: string;
}

export interface Score {
  name: string;
  value: number;
  category?: string;
  reason?: string;
  source?: string;
  author?: string;
}

export interface Payload {
  id: string;
  input?: unknown;
  output?: unknown;
  metadata?: unknown;
  error?: unknown;
  usage?: Record<string, number>;
  tags?: string[];
  model?: string;
  provider?: string;
  scores?: Score[];
  comments?: { id: string; text: string; author?: string; created?: string }[];
  request?: Record<string, unknown>;
}

export interface Histogram {
  since: string;
  until: string;
  step: number;
  complete: boolean;
  items: { time: string; count: number; errors: number; cost: number; tokens: number }[];
}

export interface Asked {
  q: string;
  project: string;
  since: string;
  until?: string;
}

const query = ({ q, project, since, until }: Asked) => ({ q, projects: project, since, until });

export const listTraces = (asked: Asked, after?: string, signal?: AbortSignal): Promise<{ items: Row[]; next?: string }> =>
  get("/api/traces", { ...query(asked), limit: 200, after }, signal);
export const histogram = (asked: Asked, signal?: AbortSignal): Promise<Histogram> => get("/api/traces/histogram", query(asked), signal);
export const readTrace = (id: string, signal?: AbortSignal): Promise<{ trace: Row; spans: Node[] }> =>
  get(`/api/traces/${encodeURIComponent(id)}`, {}, signal);
export const readSpan = (id: string, span: string, signal?: AbortSignal): Promise<Payload> =>
  get(`/api/traces/${encodeURIComponent(id)}/spans/${encodeURIComponent(span)}`, {}, signal);

/** What people say of something: it is scored, the score is taken back, it is commented on. */
export interface Judged {
  scores?: Score[];
  comments?: Payload["comments"];
}
export interface Judge {
  score(name: string, value: number): Promise<unknown>;
  unscore(name: string): Promise<unknown>;
  comment(text: string): Promise<unknown>;
}

/** How a trace or a span is judged. */
export const judgeOf = (kind: "traces" | "spans", id: string): Judge => ({
  score: (name, value) => opik("PUT", `${kind}/${id}/feedback-scores`, { body: { name, value, source: "ui" } }),
  unscore: (name) => opik("POST", `${kind}/${id}/feedback-scores/delete`, { body: { name } }),
  comment: (text) => opik("POST", `${kind}/${id}/comments`, { body: { text } }),
});

export const listDatasets = async (): Promise<{ id: string; name: string }[]> =>
  (await opik<Page<{ id: string; name: string }>>("GET", "datasets", { query: { size: 200 } })).content;
/** What becomes an item of a dataset. */
export interface DatasetItem {
  source: "trace" | "manual";
  trace_id?: string;
  data: { input: unknown; expected_output: unknown };
}

/** What was asked as an item's input, what was answered as its expected output. Pure. */
export function itemOf(row: Row, payload: Payload): DatasetItem {
  const data = { input: payload.input ?? null, expected_output: payload.output ?? null };
  return row.source === "application" ? { source: "trace", trace_id: row.id, data } : { source: "manual", data };
}

/** Puts items into a dataset, which is made when there is none of the name. */
export const addToDataset = (name: string, items: readonly DatasetItem[]): Promise<void> =>
  opik("PUT", "datasets/items", { body: { dataset_name: name, items: items.map((item) => ({ id: crypto.randomUUID(), ...item })) } });

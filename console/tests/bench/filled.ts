/** A server with a lot in it, as after months of use. */

import { expect } from "vitest";
import type { Stead } from "../world";

/** Fills the server: 10,000 ConfigMaps, a trace of 10,000 spans, a chat of 1,000 messages. */
export async function fill(stead: Stead): Promise<{ trace: string; thread: string }> {
  stead.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: crowd}\n");
  const each = 100;
  for (let start = 0; start < 10_000; start += each) {
    const made = Array.from({ length: each }, (_, offset) => `c-${String(start + offset).padStart(5, "0")}`).map((name) => stead.api("POST", "/k8s/api/v1/namespaces/crowd/configmaps", { apiVersion: "v1", kind: "ConfigMap", metadata: { name, labels: { part: name.slice(-1) } }, data: { some: "text" } }));
    for (const answer of await Promise.all(made)) {
      expect(answer.status).toBe(201);
      await answer.arrayBuffer();
    }
  }
  for (let index = 0; index < 40; index++) await stead.api("POST", "/v1/chat/completions", { model: "scripted", messages: [{ role: "user", content: `Question ${index}` }] }).then((answer) => answer.text());
  return { trace: await largeTrace(stead), thread: await longThread(stead) };
}

/** Stores a trace of 10,000 spans; gives its id. */
export async function largeTrace(stead: Stead): Promise<string> {
  const time = (Date.now() - 60_000).toString(16).padStart(12, "0");
  const id = (index: number) => `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${(index + 0x7700_0000).toString(16).padStart(12, "0")}`;
  const trace = id(100_000);
  const at = (ms: number) => new Date(Date.now() - 30_000 + ms).toISOString();
  await stead.api("POST", "/opik/api/v1/private/traces/batch", { traces: [{ id: trace, name: "large", start_time: at(0), end_time: at(30_000), input: {}, output: {}, project_name: "large" }] });
  for (let start = 0; start < 10_000; start += 1000) {
    const spans = Array.from({ length: 1000 }, (_, offset) => start + offset).map((index) => ({ id: id(index), trace_id: trace, ...(index > 0 ? { parent_span_id: id(Math.floor((index - 1) / 5)) } : {}), name: `span ${index}`, type: "general", start_time: at(1000 + index), end_time: at(2000 + index), project_name: "large" }));
    expect((await stead.api("POST", "/opik/api/v1/private/spans/batch", { spans })).ok).toBe(true);
  }
  return trace;
}

/** Imports a chat of 1,000 messages; gives its id. */
export async function longThread(stead: Stead): Promise<string> {
  const when = "2026-01-01T00:00:00Z";
  const thread = { id: "t", title: "Long", model: "scripted", system: "", leaf: "m999", folder: "", pinned: false, options: null, owner: "", project: "", version: 1, created: when, updated: when };
  const messages = Array.from({ length: 1000 }, (_, index) => ({ id: `m${index}`, thread: "t", created: when, parent: index === 0 ? null : `m${index - 1}`, role: index % 2 ? "assistant" : "user", content: `Message **${index}** of many` }));
  const [made] = (await (await stead.api("POST", "/api/threads/import", { stead: "chat", version: 1, threads: [{ thread, messages }] })).json()) as { id: string }[];
  if (!made) throw new Error("the chat was not imported");
  return made.id;
}

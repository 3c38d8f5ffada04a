/** Serving a model with the embedded engine: what `stead model pull` and `stead provider add` do. */

import { KINDS, create, list, mergePatch, type Thing } from "./kinds.svelte";
import { Problem } from "./problem";

/** A model that is known to run here, as `GET /api/machine` tells it. */
export interface Candidate {
  name: string;
  title: string;
  about: string;
  for: "chat" | "embedding";
  /** In millions. */
  parameters: number;
  size: number;
  memory: number;
  license: string;
  sources: string[];
  sha256?: string;
  fits: "well" | "tight" | "no";
  why: string;
}

export interface Machine {
  cpu: { model: string; cores: number };
  memory: { total: number; available: number };
  disk: { free: number };
  gpus: { name: string }[];
  models: Candidate[];
}

async function ifMissing(making: Promise<unknown>): Promise<void> {
  try {
    await making;
  } catch (error) {
    if (!(error instanceof Problem && error.status === 409)) throw error;
  }
}

/** The command that fetches a model. Pure. */
export function command(candidate: Pick<Candidate, "name" | "sources">, project: string): string {
  const space = project === "default" ? "" : `-n ${project} `;
  return `stead ${space}model pull '${candidate.sources[0]}' --name ${candidate.name}`;
}

/** Declares a model, a provider for it where none is, and a route by which it is asked. */
export async function serve(candidate: Candidate, project: string): Promise<void> {
  const spec = { sources: candidate.sources, ...(candidate.sha256 ? { sha256: candidate.sha256 } : {}) };
  await ifMissing(create(KINDS.models, project, { metadata: { name: candidate.name }, spec }));
  const providers = await list<Thing<{ type: string }>>(KINDS.providers, project);
  let provider = providers.items.find((item) => item.spec?.type === "embedded")?.metadata.name;
  if (!provider) {
    provider = "local";
    await ifMissing(create(KINDS.providers, project, { metadata: { name: provider }, spec: { type: "embedded" } }));
  }
  const route = candidate.for === "embedding" ? "embeddings" : "chat";
  const routes = await list<Thing>(KINDS.routes, project);
  const name = routes.items.some((item) => item.metadata.name === route) ? candidate.name : route;
  const targets = [{ provider, model: candidate.name }];
  await ifMissing(create(KINDS.routes, project, { metadata: { name }, spec: { targets } }));
}

/** Asks for another try of a fetch that failed (annotation `stead.dev/retry`). */
export const retry = (name: string, project: string): Promise<unknown> =>
  mergePatch(KINDS.models, project, name, { metadata: { annotations: { "stead.dev/retry": new Date().toISOString() } } });

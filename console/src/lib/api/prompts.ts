/** Prompts by name and version. */

import { get, post } from "./client";

export interface Prompt {
  name: string;
  description: string;
  latest: number;
  labels: Record<string, number>;
}

export interface PromptVersion {
  name: string;
  version: number;
  template: { text?: string; messages?: { role: string; content: string }[] };
  variables?: string[];
}

export const listPrompts = async (project: string): Promise<Prompt[]> => (await get<{ items: Prompt[] }>("/api/prompts", { project })).items;
export const readPrompt = (project: string, name: string, version: string | number = "latest"): Promise<PromptVersion> =>
  get(`/api/prompts/${encodeURIComponent(name)}/versions/${version}`, { project });
export const savePrompt = (project: string, name: string, messages: { role: string; content: string }[], description: string): Promise<PromptVersion> =>
  post("/api/prompts", { name, messages, description }, { query: { project } });

/** What a prompt asks, as one text. Pure. */
export function textOfPrompt({ template }: PromptVersion): string {
  if (template.text !== undefined) return template.text;
  return (template.messages ?? []).filter((message) => message.role === "user").map((message) => message.content).join("\n\n");
}

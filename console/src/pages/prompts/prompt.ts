/** Prompts as the server has them. */

export interface Prompt {
  name: string;
  description: string;
  latest: number;
  labels: Record<string, number>;
}
export interface Message {
  role: string;
  content: string;
}
export interface Version {
  name: string;
  version: number;
  id: string;
  template: { messages: Message[] } | { text: string };
  description: string;
  author: string;
  created: string;
}
export interface Shown extends Prompt {
  versions: Version[];
}

/** A template as one text, for reading and for telling what changed. Pure. */
export function textOf(version: Version | undefined): string {
  if (!version) return "";
  if ("text" in version.template) return `${version.template.text}\n`;
  return version.template.messages.map((message) => `${message.role}:\n${message.content}\n`).join("\n");
}

/** The names of a template's variables, as they come. Pure. */
export const variables = (text: string): string[] => [...new Set([...text.matchAll(/\{\{\s*([\p{L}_][\p{L}\p{N}_.-]*)/gu)].map((match) => match[1] ?? ""))];

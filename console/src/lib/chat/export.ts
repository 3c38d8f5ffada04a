/** Conversations as files: Markdown for people, JSON for this and other programs. Pure. */

import { picturesOf, textOf, type Said } from "./tree";
import type { Thread } from "./threads";

/** One branch, for reading. */
export function markdown(thread: Pick<Thread, "title" | "created">, path: readonly Said[]): string {
  const lines = [`# ${oneLine(thread.title) || "Conversation"}`, "", `*${thread.created}*`, ""];
  for (const message of path) {
    const who = message.role === "user" ? "You" : message.role === "assistant" ? (message.model ?? "Assistant") : message.role;
    lines.push(`## ${oneLine(who)}`, "", textOf(message.content).trim());
    for (const _ of picturesOf(message.content)) lines.push("", "*(a picture)*");
    const citations = message.details?.citations ?? [];
    if (citations.length > 0) lines.push("", ...citations.map((citation, index) => `[${index + 1}] ${oneLine(citation.name)}`));
    lines.push("");
  }
  return lines.join("\n");
}

/** The whole tree, as `POST /api/threads/import` reads it back. */
export function json(threads: readonly { thread: Thread; messages: readonly Said[] }[]): string {
  return JSON.stringify({ stead: "chat", version: 1, threads }, null, 2);
}

/** A name for a file. */
export function fileName(title: string, end: string): string {
  const plain = title.normalize("NFKD").replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "").slice(0, 60);
  return `${plain.toLowerCase() || "conversation"}.${end}`;
}

const oneLine = (text: string): string => text.replace(/\s+/g, " ").trim();

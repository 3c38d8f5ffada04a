/** A thread's messages as a tree: several may follow one, and one branch is looked at. Pure. */

import type { Content, Took } from "../api/completions";

export interface Citation {
  name: string;
  text: string;
  document: string;
  index: number;
}

export interface Details {
  requestId?: string;
  traceId?: string;
  thoughts?: string;
  tools?: { id: string; function: { name: string; arguments: string } }[];
  citations?: Citation[];
  files?: { name: string; size: number; kind: string }[];
  /** Answers to one question by several models, side by side. */
  together?: string;
  error?: string;
  [more: string]: unknown;
}

export interface Said {
  id: string;
  parent: string | null;
  role: "system" | "user" | "assistant" | "tool";
  content: Content;
  created: string;
  model?: string;
  finish?: string;
  usage?: Took & Record<string, unknown>;
  details?: Details;
}

export class Tree {
  readonly byId = new Map<string, Said>();
  readonly children = new Map<string, Said[]>();

  constructor(messages: readonly Said[]) {
    for (const message of messages) this.byId.set(message.id, message);
    for (const message of messages) {
      const parent = message.parent && this.byId.has(message.parent) ? message.parent : "";
      const list = this.children.get(parent);
      if (list) list.push(message);
      else this.children.set(parent, [message]);
    }
  }

  /** From the beginning to a message. */
  path(leaf: string | null | undefined): Said[] {
    const path: Said[] = [];
    const seen = new Set<string>();
    let at = leaf ? this.byId.get(leaf) : undefined;
    while (at && !seen.has(at.id)) {
      seen.add(at.id);
      path.push(at);
      at = at.parent ? this.byId.get(at.parent) : undefined;
    }
    return path.reverse();
  }

  /** What follows the same message, in the order in which it was said. */
  siblings(message: Said): Said[] {
    const parent = message.parent && this.byId.has(message.parent) ? message.parent : "";
    return this.children.get(parent) ?? [message];
  }

  /** The newest end of the branch that begins with a message. */
  end(message: Said): Said {
    let at = message;
    const seen = new Set<string>();
    for (;;) {
      seen.add(at.id);
      const next = this.children.get(at.id)?.at(-1);
      if (!next || seen.has(next.id)) return at;
      at = next;
    }
  }

  /** The newest message of all. */
  newest(): Said | undefined {
    let newest: Said | undefined;
    for (const message of this.byId.values()) if (!newest || message.created >= newest.created) newest = message;
    return newest;
  }
}

/** The text of a message, its parts joined. */
export function textOf(content: Content): string {
  if (typeof content === "string") return content;
  return content.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("\n");
}

/** The pictures of a message. */
export function picturesOf(content: Content): string[] {
  if (typeof content === "string") return [];
  return content.flatMap((part) => (part.type === "image_url" ? [part.image_url.url] : []));
}

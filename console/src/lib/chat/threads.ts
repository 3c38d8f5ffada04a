/** Threads and what belongs to them, on the server. */

import { del, get, patch, post } from "../api/client";
import type { Parameters } from "../api/completions";
import type { Said } from "./tree";

export interface Options extends Parameters {
  /** Further models that answer beside the first. */
  beside?: string[];
  /** Collections whose passages questions are answered from. */
  collections?: string[];
}

export interface Thread {
  id: string;
  title: string;
  model: string;
  system: string;
  leaf?: string | null;
  folder: string;
  pinned: boolean;
  options: Options | null;
  owner: string;
  project: string;
  version: number;
  created: string;
  updated: string;
}

export interface Page<T> {
  items: T[];
  next?: string;
}

export interface Hit {
  thread: Thread;
  message?: string;
  excerpt: string;
}

export interface Share {
  id: string;
  thread: string;
  title: string;
  owner: string;
  audience: "signed-in" | "public";
  made: string;
  expires: string;
}

export interface Collection {
  id: string;
  name: string;
  model: string;
  created: string;
}

export interface Document {
  id: string;
  name: string;
  passages: number;
  characters: number;
  created: string;
}

const inProject = (project: string) => ({ query: { project } });

export const listThreads = (project: string, after?: string): Promise<Page<Thread>> =>
  get("/api/threads", { project, limit: 200, after });
export const readThread = (project: string, id: string): Promise<Thread> => get(`/api/threads/${id}`, { project });
export const createThread = (project: string, thread: Partial<Thread>): Promise<Thread> =>
  post("/api/threads", thread, inProject(project));
export const changeThread = (project: string, id: string, change: Partial<Thread>): Promise<Thread> =>
  patch(`/api/threads/${id}`, change, inProject(project));
export const deleteThread = (project: string, id: string): Promise<void> => del(`/api/threads/${id}`, inProject(project));
export const searchThreads = (project: string, q: string, signal?: AbortSignal): Promise<{ items: Hit[]; complete: boolean }> =>
  get("/api/threads/search", { project, q }, signal);
export const importThreads = (project: string, file: unknown): Promise<Thread[]> =>
  post("/api/threads/import", file, inProject(project));

/** All messages of a thread, in the order in which they were said. */
export async function readMessages(project: string, id: string): Promise<Said[]> {
  const messages: Said[] = [];
  let after: string | undefined;
  do {
    const page: Page<Said> = await get(`/api/threads/${id}/messages`, { project, limit: 2000, after });
    messages.push(...page.items);
    after = page.next;
  } while (after);
  return messages;
}

export type NewMessage = Pick<Said, "id" | "parent" | "role" | "content"> & Partial<Said>;

/** Appends a message; with its id, so that trying again makes no second one. */
export function append(project: string, thread: string, message: NewMessage, keepalive = false): Promise<Said> {
  const { id, parent, role, content, model, finish, usage, details } = message;
  const body = { id, parent, role, content, model, finish, usage, details };
  return post(`/api/threads/${thread}/messages`, body, { ...inProject(project), ...(keepalive ? { keepalive } : {}) });
}

export const share = (project: string, id: string, body: { audience: string; seconds: number; leaf?: string }): Promise<Share> =>
  post(`/api/threads/${id}/shares`, body, inProject(project));
export const listShares = (project: string): Promise<Share[]> => get("/api/shares", { project });
export const endShare = (project: string, id: string): Promise<void> => del(`/api/shares/${id}`, inProject(project));

export const listCollections = async (project: string): Promise<Collection[]> =>
  (await get<{ items: Collection[] }>("/api/collections", { project })).items;
export const createCollection = (project: string, name: string, model: string): Promise<Collection> =>
  post("/api/collections", { name, model }, inProject(project));
export const deleteCollection = (project: string, id: string): Promise<void> => del(`/api/collections/${id}`, inProject(project));
export const listDocuments = async (project: string, id: string): Promise<Document[]> =>
  (await get<{ items: Document[] }>(`/api/collections/${id}/documents`, { project })).items;
export const addDocument = (project: string, id: string, name: string, text: string): Promise<Document> =>
  post(`/api/collections/${id}/documents`, { name, text }, inProject(project));
export const deleteDocument = (project: string, id: string, document: string): Promise<void> =>
  del(`/api/collections/${id}/documents/${document}`, inProject(project));
export const searchCollections = async (
  project: string,
  collections: string[],
  query: string,
): Promise<{ name: string; document: string; index: number; text: string; score: number }[]> =>
  (await post<{ items: never[] }>("/api/collections/search", { collections, query }, inProject(project))).items;

/** An id that sorts by time (RFC 9562, version 7). */
export function newId(now = Date.now()): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  for (let index = 0; index < 6; index++) bytes[index] = Math.floor(now / 2 ** (8 * (5 - index))) & 0xff;
  bytes[6] = (bytes[6]! & 0x0f) | 0x70;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

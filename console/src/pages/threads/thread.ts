/** Conversations that applications trace, as Opik's API tells them. */

import { opik, type Page } from "$lib/api/opik";
import { turns, type Turn } from "$lib/traces/chat";
import type { Judge, Score } from "$lib/traces/api";

/** A project of an application, inside the chosen project. */
export interface Application {
  id: string;
  name: string;
}

export interface Thread {
  /** The application's own name for it. */
  id: string;
  thread_model_id: string;
  project_id: string;
  status: "active" | "inactive";
  start_time?: string;
  end_time?: string;
  /** In milliseconds. */
  duration?: number | null;
  first_message?: unknown;
  last_message?: unknown;
  number_of_messages?: number;
  total_estimated_cost?: number | null;
  feedback_scores?: { name: string; value: number; category_name?: string | null; reason?: string | null; created_by?: string }[] | null;
  comments?: { id: string; text: string; created_at?: string; created_by?: string }[] | null;
  tags?: string[] | null;
  last_updated_at?: string;
}

/** One trace of a conversation. */
export interface Part {
  id: string;
  name: string;
  start_time: string;
  input?: unknown;
  output?: unknown;
  error_info?: { exception_type?: string; message?: string } | null;
}

const LIST = "traces/threads";
/** How many are asked for at a time. */
export const PAGE = 100;
/** The most traces of a conversation that are shown. */
export const MOST = 500;

/** Those that were told of last, first. */
export const listApplications = async (): Promise<Application[]> =>
  (await opik<Page<Application>>("GET", "projects", { query: { page: 1, size: 500, sorting: JSON.stringify([{ field: "last_updated_trace_at", direction: "DESC" }]) } })).content;

export const listThreads = (application: string, page: number, search: string): Promise<Page<Thread>> =>
  opik("GET", LIST, { query: { project_id: application, page, size: PAGE, truncate: true, search: search || undefined } });

/** The thread of that id; throws a `Problem` when there is none. */
export async function readThread(application: string, id: string): Promise<Thread | undefined> {
  const filters = JSON.stringify([{ field: "thread_model_id", operator: "=", value: id }]);
  return (await opik<Page<Thread>>("GET", LIST, { query: { project_id: application, page: 1, size: 1, filters } })).content[0];
}

/** The traces of a conversation, oldest first. */
export async function partsOf(thread: Thread): Promise<Part[]> {
  const filters = JSON.stringify([{ field: "thread_id", operator: "=", value: thread.id }]);
  const page = await opik<Page<Part>>("GET", "traces", { query: { project_id: thread.project_id, page: 1, size: MOST, filters } });
  return page.content.toSorted((a, b) => (a.start_time < b.start_time ? -1 : 1));
}

/** What a message says, on one line. Pure. */
export function preview(message: unknown, role: "user" | "assistant"): string {
  const said = turns(message, role);
  const turn = role === "user" ? said?.find((one) => one.role === "user") : said?.at(-1);
  const text = turn?.text ?? (message === undefined || message === null ? "" : typeof message === "string" ? message : JSON.stringify(message));
  return text.replace(/\s+/g, " ").slice(0, 300);
}

/**
 * What a part adds to the conversation: of a history that is sent anew each time, only what was not said before. Pure.
 */
export function added(input: readonly Turn[], said: readonly Turn[]): Turn[] {
  const same = (a: Turn, b: Turn | undefined) => a.role === b?.role && a.text === b.text;
  let common = 0;
  while (common < input.length && common < said.length && same(input[common]!, said[common])) common++;
  // A history that begins elsewhere is all of it new.
  return input.slice(common === said.length ? common : 0);
}

/** How a thread is judged. */
export const judgeOf = (thread: Thread, application: string): Judge => ({
  score: (name, value) => opik("PUT", `${LIST}/feedback-scores`, { body: { scores: [{ thread_id: thread.id, project_id: thread.project_id, name, value, source: "ui" }] } }),
  unscore: (name) => opik("POST", `${LIST}/feedback-scores/delete`, { body: { project_name: application, thread_id: thread.id, names: [name] } }),
  comment: (text) => opik("POST", `${LIST}/${thread.thread_model_id}/comments`, { body: { text } }),
});

export const scoresOf = (thread: Thread): Score[] =>
  (thread.feedback_scores ?? []).map(({ name, value, category_name, reason, created_by }) => ({
    name,
    value,
    ...(category_name ? { category: category_name } : {}),
    ...(reason ? { reason } : {}),
    ...(created_by ? { author: created_by } : {}),
  }));

/** Says that a conversation is over, or goes on. */
export const setActive = (thread: Thread, active: boolean): Promise<void> =>
  opik("PUT", `${LIST}/${active ? "open" : "close"}`, { body: { project_id: thread.project_id, thread_id: thread.id } });
export const remove = (thread: Thread): Promise<void> => opik("POST", `${LIST}/delete`, { body: { project_id: thread.project_id, thread_ids: [thread.id] } });

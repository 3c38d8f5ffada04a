/** Requests to the server. A change carries the session's proof that a page of ours sends it (`x-stead-csrf`). */

import { problemOf, unreachable } from "./problem";

export interface Options {
  body?: unknown;
  query?: Record<string, string | number | boolean | null | undefined>;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** The body's type when it is not JSON. */
  type?: string;
  /** It is sent even when the page is left meanwhile. */
  keepalive?: boolean;
}

let csrf: string | undefined;
let signedOut: () => void = () => {};

/** Sets the session's proof; `undefined` once there is none. */
export function setCsrf(value: string | undefined): void {
  csrf = value;
}

/** Says what is to be done when the server no longer knows who asks. */
export function onSignedOut(action: () => void): void {
  signedOut = action;
}

export function pathOf(path: string, query: Options["query"] = {}): string {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  if (pairs.length === 0) return path;
  const text = new URLSearchParams(pairs.map(([name, value]) => [name, String(value)])).toString();
  return path + (path.includes("?") ? "&" : "?") + text;
}

/** Sends a request; the answer is good. Throws a `Problem`, or an `AbortError` when it was cancelled. */
export async function send(method: string, path: string, options: Options = {}): Promise<Response> {
  const headers = new Headers(options.headers);
  if (csrf && method !== "GET" && method !== "HEAD") headers.set("x-stead-csrf", csrf);
  let body: BodyInit | undefined;
  if (options.body !== undefined) {
    const raw = options.body instanceof Blob || options.body instanceof FormData || options.body instanceof ArrayBuffer;
    body = raw || typeof options.body === "string" ? (options.body as BodyInit) : JSON.stringify(options.body);
    if (!(options.body instanceof FormData)) headers.set("content-type", options.type ?? "application/json");
  }
  let response: Response;
  try {
    const request: RequestInit = { method, headers, credentials: "same-origin" };
    if (body !== undefined) request.body = body;
    if (options.signal) request.signal = options.signal;
    if (options.keepalive) request.keepalive = true;
    response = await fetch(pathOf(path, options.query), request);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw unreachable(error);
  }
  if (response.ok) return response;
  const told = await read(response).catch(() => undefined);
  if (response.status === 401 && !path.startsWith("/api/session")) signedOut();
  throw problemOf(response.status, told, response.headers.get("x-stead-request-id") ?? undefined);
}

async function read(response: Response): Promise<unknown> {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Sends a request and reads the answer's JSON; an empty one is `undefined`. */
export async function json<T>(method: string, path: string, options: Options = {}): Promise<T> {
  const response = await send(method, path, options);
  if (response.status === 204) return undefined as T;
  const text = await response.text();
  return (text === "" ? undefined : JSON.parse(text)) as T;
}

export const get = <T>(path: string, query?: Options["query"], signal?: AbortSignal): Promise<T> =>
  json<T>("GET", path, { ...(query ? { query } : {}), ...(signal ? { signal } : {}) });
export const post = <T>(path: string, body?: unknown, options: Options = {}): Promise<T> =>
  json<T>("POST", path, { ...options, body });
export const put = <T>(path: string, body?: unknown, options: Options = {}): Promise<T> =>
  json<T>("PUT", path, { ...options, body });
export const patch = <T>(path: string, body?: unknown, options: Options = {}): Promise<T> =>
  json<T>("PATCH", path, { ...options, body });
export const del = <T = void>(path: string, options: Options = {}): Promise<T> => json<T>("DELETE", path, options);

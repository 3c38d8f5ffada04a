/** Requests to Opik's API, so that its SDKs see what people do here, too; in the project that is chosen. */

import { json } from "./client";
import { project } from "../project.svelte";

export interface Page<T> {
  content: T[];
  page: number;
  size: number;
  total: number;
}

const BASE = "/opik/api/v1/private";

export const opik = <T>(method: string, path: string, options: { body?: unknown; query?: Record<string, string | number | boolean | undefined> } = {}): Promise<T> =>
  json<T>(method, `${BASE}/${path}`, { ...options, headers: { "comet-workspace": project.name } });

/** The command that sends the same. */
export const opikCommand = (method: string, path: string): string => `stead api ${method} '${BASE}/${path}' -H 'comet-workspace: ${project.name}'`;

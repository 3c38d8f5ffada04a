/** OpenAPI documents as lists of operations. Pure. */

import { word } from "$lib/kinds/command";
import type { Schema } from "$lib/kinds/schema";

export interface Parameter {
  name: string;
  in: string;
  required?: boolean;
  description?: string;
  schema?: Schema;
}
interface Described {
  tags?: string[];
  summary?: string;
  description?: string;
  parameters?: Parameter[];
  requestBody?: { content?: Record<string, { schema?: Schema }> };
  responses?: Record<string, { description?: string; content?: Record<string, { schema?: Schema }> }>;
  "x-kubernetes-action"?: string;
  "x-kubernetes-group-version-kind"?: { kind: string };
}
export interface Document {
  info?: { title?: string; version?: string; description?: string };
  tags?: { name: string; description?: string }[];
  paths: Record<string, Record<string, Described | Parameter[]>>;
  components?: { schemas?: Record<string, Schema> };
}
export interface Operation {
  id: string;
  method: string;
  path: string;
  tag: string;
  summary: string;
  parameters: Parameter[];
  body?: Schema;
  bodyTypes: string[];
  answer?: Schema;
}

const METHODS = ["get", "post", "put", "patch", "delete"];
/** What Kubernetes calls what is done, in words. */
const ACTIONS: Record<string, string> = { list: "Lists", get: "Shows", post: "Makes", put: "Replaces", patch: "Changes", delete: "Removes", deletecollection: "Removes all" };

/** The operations of a document; `prefix` stands before each path. */
export function operations(document: Document, prefix = ""): Operation[] {
  return Object.entries(document.paths).flatMap(([path, methods]) => {
    const shared = Array.isArray(methods["parameters"]) ? (methods["parameters"] as Parameter[]) : [];
    return METHODS.filter((method) => methods[method]).map((method): Operation => {
      const said = methods[method] as Described;
      const kind = said["x-kubernetes-group-version-kind"]?.kind;
      const action = said["x-kubernetes-action"];
      const content = Object.values(said.requestBody?.content ?? {});
      const answer = Object.values(said.responses?.["200"]?.content ?? {})[0]?.schema;
      const sub = path.endsWith("/status") ? "the status of " : "";
      return {
        id: `${method} ${prefix}${path}`,
        method: method.toUpperCase(),
        path: prefix + path,
        tag: said.tags?.[0] ?? kind ?? "Other",
        summary: said.summary ?? said.description ?? (action && kind ? `${ACTIONS[action] ?? action} ${sub}${kind}` : ""),
        parameters: [...shared, ...(said.parameters ?? [])],
        ...(content[0]?.schema ? { body: content[0].schema } : {}),
        bodyTypes: Object.keys(said.requestBody?.content ?? {}),
        ...(answer ? { answer } : {}),
      };
    });
  });
}

/** A path with its parameters put in; what is not given stays as it is named. */
export function filled(operation: Operation, values: Record<string, string>): string {
  const path = operation.path.replace(/\{([^}]+)\}/g, (whole, name: string) => (values[name] ? encodeURIComponent(values[name]) : whole));
  const query = operation.parameters.filter((parameter) => parameter.in === "query" && values[parameter.name]).map((parameter) => [parameter.name, values[parameter.name]!]);
  return query.length > 0 ? `${path}?${new URLSearchParams(query)}` : path;
}

export const isWhole = (path: string): boolean => !path.includes("{");

export function commandOf(operation: Operation, values: Record<string, string>): string {
  const body = operation.body && operation.method !== "GET" ? " --data-body @FILE" : "";
  return `stead api ${operation.method} ${word(filled(operation, values))}${body}`;
}

export function curlOf(operation: Operation, values: Record<string, string>, origin: string): string {
  const lines = [`curl ${operation.method === "GET" ? "" : `-X ${operation.method} `}${word(origin + filled(operation, values))}`, `  -H "Authorization: Bearer $STEAD_TOKEN"`];
  if (operation.body) lines.push(`  -H "Content-Type: ${operation.bodyTypes[0] ?? "application/json"}"`, "  -d @body.json");
  return lines.join(" \\\n");
}

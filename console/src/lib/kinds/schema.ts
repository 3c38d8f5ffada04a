/** The form of a kind's objects, from the server's OpenAPI document. Pure but for the request. */

import { get } from "../api/client";
import type { KindRef } from "../api/kinds.svelte";

export interface Schema {
  type?: string;
  format?: string;
  description?: string;
  default?: unknown;
  enum?: unknown[];
  nullable?: boolean;
  required?: string[];
  properties?: Record<string, Schema>;
  additionalProperties?: boolean | Schema;
  items?: Schema;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  $ref?: string;
  "x-kubernetes-preserve-unknown-fields"?: boolean;
  "x-kubernetes-int-or-string"?: boolean;
  "x-kubernetes-group-version-kind"?: { group: string; version: string; kind: string }[];
}

interface Document {
  components: { schemas: Record<string, Schema> };
}

/** The schema of a kind in a document, with what it refers to put in. */
export function schemaIn(document: Document, kind: KindRef): Schema | undefined {
  const found = Object.values(document.components.schemas).find((schema) =>
    schema["x-kubernetes-group-version-kind"]?.some(
      (named) => named.group === kind.group && named.version === kind.version && named.kind === kind.kind,
    ),
  );
  return found && resolve(document, found, 0);
}

/** How deep schemas may refer to each other; one that refers to itself ends there. */
const DEPTH = 24;

function resolve(document: Document, schema: Schema, depth: number): Schema {
  if (depth > DEPTH) return {};
  if (schema.$ref) {
    const target = document.components.schemas[schema.$ref.slice(schema.$ref.lastIndexOf("/") + 1)];
    return target ? resolve(document, { ...target, ...(schema.description ? { description: schema.description } : {}) }, depth + 1) : {};
  }
  const result: Schema = { ...schema };
  if (schema.allOf?.length === 1) {
    Object.assign(result, resolve(document, schema.allOf[0]!, depth + 1), schema.description ? { description: schema.description } : {});
    delete result.allOf;
  }
  if (schema.properties) {
    result.properties = Object.fromEntries(
      Object.entries(schema.properties).map(([name, property]) => [name, resolve(document, property, depth + 1)]),
    );
  }
  if (schema.items) result.items = resolve(document, schema.items, depth + 1);
  if (typeof schema.additionalProperties === "object") result.additionalProperties = resolve(document, schema.additionalProperties, depth + 1);
  return result;
}

/** Documents that are on their way, by path: who asks for a second kind of a group waits for the same answer. */
const asked = new Map<string, Promise<Document>>();

export async function schemaOf(kind: KindRef): Promise<Schema | undefined> {
  const path = kind.group ? `apis/${kind.group}/${kind.version}` : `api/${kind.version}`;
  let document = asked.get(path);
  if (!document) {
    document = get<Document>(`/k8s/openapi/v3/${path}`).finally(() => asked.delete(path));
    asked.set(path, document);
  }
  return schemaIn(await document, kind);
}

/** What a field is edited with. */
export type Control = "text" | "number" | "switch" | "choice" | "list" | "group" | "groups" | "map" | "raw";

export function controlOf(schema: Schema): Control {
  if (schema["x-kubernetes-int-or-string"]) return "text";
  if (schema.anyOf || schema.oneOf) return "raw";
  if (schema.enum && (schema.type === undefined || schema.type === "string")) return "choice";
  switch (schema.type) {
    case "string":
      return "text";
    case "integer":
    case "number":
      return "number";
    case "boolean":
      return "switch";
    case "array": {
      const items = schema.items ? controlOf(schema.items) : "raw";
      if (items === "text" || items === "choice" || items === "number") return "list";
      return items === "group" ? "groups" : "raw";
    }
    case "object":
      if (schema.properties) return "group";
      if (typeof schema.additionalProperties === "object" && controlOf(schema.additionalProperties) === "text") return "map";
      return "raw";
    default:
      return "raw";
  }
}

/** What a field begins with when it is added. */
export function blank(schema: Schema): unknown {
  if (schema.default !== undefined) return structuredClone(schema.default);
  switch (controlOf(schema)) {
    case "group": {
      const required = (schema.required ?? []).filter((name) => schema.properties?.[name]);
      return Object.fromEntries(required.map((name) => [name, blank(schema.properties![name]!)]));
    }
    case "groups":
      return schema.items ? [blank(schema.items)] : [];
    case "list":
      return [];
    case "map":
      return {};
    case "switch":
      return false;
    case "choice":
      return schema.enum?.[0] ?? "";
    case "number":
      return schema.minimum ?? 0;
    case "text":
      return "";
    case "raw":
      return schema.type === "array" ? [] : schema.type === "object" ? {} : "";
  }
}

/** Sets (or, with `undefined`, takes away) a field of a copy. */
export function put<T extends Record<string, unknown>>(object: T, name: string, value: unknown): T {
  const next: Record<string, unknown> = { ...object };
  if (value === undefined) delete next[name];
  else next[name] = value;
  return next as T;
}

/** The parts of an object that a form edits: what is neither its head nor its status. */
export function parts(schema: Schema): [string, Schema][] {
  const own = ["apiVersion", "kind", "metadata", "status"];
  return Object.entries(schema.properties ?? {}).filter(([name]) => !own.includes(name));
}

/** Fields as people read them: what must be there first, then as the schema has them. */
export function fields(schema: Schema): [string, Schema, boolean][] {
  const required = new Set(schema.required ?? []);
  const all = Object.entries(schema.properties ?? {}).map(([name, property]): [string, Schema, boolean] => [name, property, required.has(name)]);
  return [...all.filter(([, , needed]) => needed), ...all.filter(([, , needed]) => !needed)];
}

/** `maxOutputTokens` as `Max output tokens`. */
export function title(name: string): string {
  const words = name.replace(/([a-z0-9])([A-Z])/g, "$1 $2").replace(/[_-]/g, " ").toLowerCase();
  const said = words.replace(/\b(url|usd|id|gpu|api|http|ip|ttl|sha256|uid|json)\b/g, (word) => word.toUpperCase());
  return said.charAt(0).toUpperCase() + said.slice(1);
}

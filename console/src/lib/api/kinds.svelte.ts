/**
 * Objects of any kind through the resource API: read, written as `kubectl` would, and followed live.
 */

import { json, pathOf } from "./client";
import { Problem, asProblem } from "./problem";
import { stream } from "./stream";

export interface Meta {
  name: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  ownerReferences?: { kind: string; name: string; uid: string }[];
  finalizers?: string[];
  managedFields?: unknown[];
}

export interface Condition {
  type: string;
  status: "True" | "False" | "Unknown";
  reason?: string;
  message?: string;
  lastTransitionTime?: string;
}

export interface Step {
  name: string;
  state: string;
  started?: string;
  finished?: string;
  message?: string;
  progress?: { done: number; total?: number; unit?: string } | number;
}

export interface Thing<S = Record<string, unknown>, T = Record<string, unknown>> {
  apiVersion: string;
  kind: string;
  metadata: Meta;
  spec?: S;
  status?: T & { conditions?: Condition[]; steps?: Step[] };
  [field: string]: unknown;
}

/** Where objects of a kind are. */
export interface KindRef {
  group: string;
  version: string;
  plural: string;
  namespaced: boolean;
  kind: string;
}

const GROUP = "stead.dev";
const VERSION = "v1alpha1";
const own = (kind: string, plural: string, namespaced = true): KindRef => ({
  group: GROUP,
  version: VERSION,
  plural,
  namespaced,
  kind,
});

/** The kinds that pages of their own know. */
export const KINDS = {
  models: own("Model", "models"),
  providers: own("ModelProvider", "modelproviders"),
  routes: own("ModelRoute", "modelroutes"),
  keys: own("ApiKey", "apikeys"),
  quotas: own("Quota", "quotas"),
  guardrails: own("Guardrail", "guardrails"),
  users: own("User", "users", false),
  namespaces: { group: "", version: "v1", plural: "namespaces", namespaced: false, kind: "Namespace" },
  secrets: { group: "", version: "v1", plural: "secrets", namespaced: true, kind: "Secret" },
  events: { group: "", version: "v1", plural: "events", namespaced: true, kind: "Event" },
  definitions: {
    group: "apiextensions.k8s.io",
    version: "v1",
    plural: "customresourcedefinitions",
    namespaced: false,
    kind: "CustomResourceDefinition",
  },
} satisfies Record<string, KindRef>;

/** The path below `/k8s` of a kind's objects, or of one. Pure. */
export function pathOfKind(kind: KindRef, project: string | undefined, name?: string): string {
  const root = kind.group ? `apis/${kind.group}/${kind.version}` : `api/${kind.version}`;
  const space = kind.namespaced && project ? `/namespaces/${encodeURIComponent(project)}` : "";
  return `${root}${space}/${kind.plural}${name === undefined ? "" : `/${encodeURIComponent(name)}`}`;
}

interface List<T> {
  items: T[];
  metadata: { resourceVersion: string; continue?: string };
}

/** How many objects are asked for at a time. */
const PAGE = 500;

/** All objects of a kind, and the version of which they are. */
export async function list<T extends Thing>(
  kind: KindRef,
  project: string | undefined,
  query: Record<string, string> = {},
): Promise<{ items: T[]; version: string }> {
  const items: T[] = [];
  let after: string | undefined;
  for (;;) {
    const page = await json<List<T>>("GET", `/k8s/${pathOfKind(kind, project)}`, {
      query: { ...query, limit: PAGE, continue: after },
    });
    for (const item of page.items) {
      // Items of a list say neither.
      item.kind ??= kind.kind;
      item.apiVersion ??= kind.group ? `${kind.group}/${kind.version}` : kind.version;
      items.push(item);
    }
    after = page.metadata.continue;
    if (!after) return { items, version: page.metadata.resourceVersion };
  }
}

export const read = <T extends Thing>(kind: KindRef, project: string | undefined, name: string): Promise<T> =>
  json<T>("GET", `/k8s/${pathOfKind(kind, project, name)}`);

export const create = <T extends Thing>(
  kind: KindRef,
  project: string | undefined,
  object: Partial<T>,
  dryRun: "apply" | "try" = "apply",
): Promise<T> =>
  json<T>("POST", pathOf(`/k8s/${pathOfKind(kind, project)}`, { dryRun: dryRun === "try" ? "All" : undefined, fieldManager: "console" }), {
    body: { apiVersion: kind.group ? `${kind.group}/${kind.version}` : kind.version, kind: kind.kind, ...object },
  });

export const replace = <T extends Thing>(
  kind: KindRef,
  project: string | undefined,
  object: T,
  dryRun: "apply" | "try" = "apply",
): Promise<T> =>
  json<T>("PUT", `/k8s/${pathOfKind(kind, project, object.metadata.name)}`, {
    query: { dryRun: dryRun === "try" ? "All" : undefined, fieldManager: "console" },
    body: object,
  });

/** Changes some fields (RFC 7396). */
export const mergePatch = <T extends Thing>(
  kind: KindRef,
  project: string | undefined,
  name: string,
  change: unknown,
  dryRun: "apply" | "try" = "apply",
): Promise<T> =>
  json<T>("PATCH", `/k8s/${pathOfKind(kind, project, name)}`, {
    query: { dryRun: dryRun === "try" ? "All" : undefined, fieldManager: "console" },
    body: change,
    type: "application/merge-patch+json",
  });

export const remove = (kind: KindRef, project: string | undefined, name: string): Promise<unknown> =>
  json<unknown>("DELETE", `/k8s/${pathOfKind(kind, project, name)}`);

/** The condition of a type. */
export function condition(thing: Thing, type: string): Condition | undefined {
  return thing.status?.conditions?.find((condition) => condition.type === type);
}

/** Puts a change into a list that is sorted by name. Pure. */
export function applyChange<T extends Thing>(items: T[], type: string, object: T): T[] {
  const same = (item: T) =>
    item.metadata.name === object.metadata.name && item.metadata.namespace === object.metadata.namespace;
  if (type === "DELETED") return items.filter((item) => !same(item));
  const index = items.findIndex(same);
  if (index >= 0) return items.with(index, object);
  const at = items.findIndex((item) => item.metadata.name > object.metadata.name);
  return at < 0 ? [...items, object] : items.toSpliced(at, 0, object);
}

/** The objects of a kind in a project, as they are now. */
export class Live<T extends Thing = Thing> {
  items = $state.raw<T[]>([]);
  /** Whether they were read. */
  loaded = $state(false);
  problem = $state.raw<Problem | undefined>(undefined);
  #stop: (() => void) | undefined;
  #ended = false;

  constructor(
    readonly kind: KindRef,
    readonly project: string | undefined,
  ) {
    void this.#begin();
  }

  async #begin(): Promise<void> {
    this.#stop?.();
    try {
      const { items, version } = await list<T>(this.kind, this.project);
      if (this.#ended) return;
      this.items = items.sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
      this.loaded = true;
      this.problem = undefined;
      this.#stop = stream.follow({
        path: pathOfKind(this.kind, this.project),
        version,
        change: ({ type, object }) => (this.items = applyChange(this.items, type, object as unknown as T)),
        lost: () => void this.#begin(),
      });
    } catch (error) {
      this.problem = asProblem(error);
      this.loaded = true;
      // What is forbidden stays so; what did not answer may answer later.
      if (this.problem.status === 0 || this.problem.status >= 500) setTimeout(() => this.#ended || void this.#begin(), 3000);
    }
  }

  /** Reads them again, now. */
  refresh(): void {
    void this.#begin();
  }

  find(name: string): T | undefined {
    return this.items.find((item) => item.metadata.name === name);
  }

  end(): void {
    this.#ended = true;
    this.#stop?.();
  }
}

/**
 * A live list for a component: call it while one is initialised. `project` may be a function, so that the list follows
 * the project that is chosen.
 */
export function live<T extends Thing = Thing>(kind: KindRef, project: () => string | undefined): { readonly now: Live<T> } {
  let current = $state.raw(new Live<T>(kind, kind.namespaced ? project() : undefined));
  $effect(() => {
    const wanted = kind.namespaced ? project() : undefined;
    if (current.project !== wanted) {
      current.end();
      current = new Live<T>(kind, wanted);
    }
  });
  $effect(() => () => current.end());
  return {
    get now() {
      return current;
    },
  };
}

/** Which kinds the server has, by its own word: a kind that is added later is here without any edit. */

import { send } from "../api/client";
import { list, type KindRef, type Thing } from "../api/kinds.svelte";
import { asProblem, type Problem } from "../api/problem";
import { stream } from "../api/stream";
import { KINDS } from "../api/kinds.svelte";

export interface Kind extends KindRef {
  singular: string;
  shortNames: string[];
  categories: string[];
  verbs: string[];
  /** Whether its status is written apart. */
  status: boolean;
}

interface Resource {
  resource: string;
  responseKind?: { kind: string };
  scope: "Namespaced" | "Cluster";
  singularResource: string;
  verbs: string[];
  shortNames?: string[];
  categories?: string[];
  subresources?: { subresource: string }[];
}

interface Discovery {
  items: { metadata?: { name?: string }; versions: { version: string; resources: Resource[] }[] }[];
}

const ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/** The kinds of an answer, each in the version that its group prefers, which comes first. Pure. */
export function kindsOf(discovery: Discovery): Kind[] {
  return discovery.items.flatMap((group) => {
    const seen = new Set<string>();
    return group.versions.flatMap(({ version, resources }) =>
      resources
        .filter((found) => found.verbs.includes("list") && !seen.has(found.resource))
        .map((found): Kind => {
          seen.add(found.resource);
          return {
            group: group.metadata?.name ?? "",
            version,
            plural: found.resource,
            namespaced: found.scope === "Namespaced",
            kind: found.responseKind?.kind ?? found.singularResource,
            singular: found.singularResource,
            shortNames: found.shortNames ?? [],
            categories: found.categories ?? [],
            verbs: found.verbs,
            status: (found.subresources ?? []).some((sub) => sub.subresource === "status"),
          };
        }),
    );
  });
}

/** How a group stands in an address, where the core group has no name. */
export const CORE = "core";
export const groupName = (kind: KindRef): string => kind.group || CORE;
/** The page of a kind, or of an object of it. */
export const pageOf = (kind: KindRef, name?: string): string =>
  `/kinds/${encodeURIComponent(groupName(kind))}/${kind.plural}${name === undefined ? "" : `/${encodeURIComponent(name)}`}`;

/** What the CLI and kubectl call a kind: its plural, with the group where that is not enough. Pure. */
export function argument(kind: KindRef, all: readonly KindRef[]): string {
  const alone = all.filter((other) => other.plural === kind.plural).length <= 1;
  return alone || kind.group === "" ? kind.plural : `${kind.plural}.${kind.group}`;
}

class Kinds {
  list = $state.raw<Kind[]>([]);
  loaded = $state(false);
  problem = $state.raw<Problem>();
  #asked: Promise<void> | undefined;
  #following = false;

  /** Asks once; later callers wait for the same answer. */
  load(): Promise<void> {
    this.#asked ??= this.#read();
    return this.#asked;
  }

  /** Asks anew. */
  async reload(): Promise<void> {
    this.#asked = this.#read();
    await this.#asked;
  }

  find(group: string, plural: string): Kind | undefined {
    const wanted = group === CORE ? "" : group;
    return this.list.find((kind) => kind.group === wanted && kind.plural === plural);
  }

  /** The kind of an owner reference or of an event's object. */
  byKind(apiVersion: string, kind: string): Kind | undefined {
    const group = apiVersion.includes("/") ? apiVersion.slice(0, apiVersion.indexOf("/")) : "";
    return this.list.find((item) => item.group === group && item.kind === kind);
  }

  async #read(): Promise<void> {
    try {
      const [core, named] = await Promise.all(
        ["/k8s/api", "/k8s/apis"].map(async (path) => (await send("GET", path, { headers: { accept: ACCEPT } })).json() as Promise<Discovery>),
      );
      this.list = [...kindsOf(named!), ...kindsOf(core!)];
      this.problem = undefined;
      if (!this.#following) void this.#follow();
    } catch (error) {
      this.problem = asProblem(error);
      this.#asked = undefined;
    }
    this.loaded = true;
  }

  /** What is defined while this page is open is seen, too. */
  async #follow(): Promise<void> {
    this.#following = true;
    try {
      const { items, version } = await list<Definition>(KINDS.definitions, undefined);
      for (const item of items) void this.#expect(item);
      stream.follow({
        path: "apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        version,
        change: ({ type, object }) => void (type === "DELETED" ? this.reload() : this.#expect(object as unknown as Definition)),
        lost: () => void this.reload(),
      });
    } catch {
      // Who may not see definitions reloads the page.
    }
  }

  /** Asks until a kind that was defined is served, which is a moment after its definition is told. */
  async #expect({ spec }: Definition): Promise<void> {
    for (let tries = 0; tries < TRIES; tries++) {
      if (!spec || this.find(spec.group || CORE, spec.names.plural)) return;
      if (tries > 0) await new Promise((resolve) => setTimeout(resolve, PAUSE));
      await this.reload();
    }
  }
}

type Definition = Thing<{ group: string; names: { plural: string } }>;
/** How often a kind is looked for that was defined, and the pause between, in milliseconds. */
const TRIES = 20;
const PAUSE = 150;

export const kinds = new Kinds();

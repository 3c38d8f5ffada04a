/**
 * The list of a kind's objects as the server's own columns show it (a `Table`), kept up to date: what changed is asked
 * for again, so that the columns' rules are nowhere but on the server.
 */

import { get, send } from "../api/client";
import { pathOfKind, type KindRef, type Meta } from "../api/kinds.svelte";
import { asProblem, Problem } from "../api/problem";
import { stream } from "../api/stream";

export interface Column {
  name: string;
  type: string;
  format: string;
  description: string;
  /** 0 is always shown, the rest where there is room. */
  priority: number;
}

export interface Row {
  cells: unknown[];
  object: { metadata: Meta };
}

interface Table {
  columnDefinitions: Column[];
  rows: Row[];
  metadata: { resourceVersion: string; continue?: string };
}

const ACCEPT = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const PAGE = 500;
/** More changes than this at once, and the whole list is asked for. */
const SINGLE = 12;
/** How long changes are gathered, in milliseconds. */
const GATHER = 150;

const keyOf = (meta: Meta): string => `${meta.namespace ?? ""}/${meta.name}`;
export const rowKey = (row: Row): string => keyOf(row.object.metadata);

/** Puts a row into rows that are sorted by project and name. Pure. */
export function putRow(rows: readonly Row[], row: Row): Row[] {
  const key = rowKey(row);
  const index = rows.findIndex((other) => rowKey(other) === key);
  if (index >= 0) return rows.with(index, row);
  const at = rows.findIndex((other) => rowKey(other) > key);
  return at < 0 ? [...rows, row] : rows.toSpliced(at, 0, row);
}

/** How two cells stand to each other: numbers by size, texts by letters, what is absent last. Pure. */
export function compareCells(a: unknown, b: unknown): number {
  if (a === null || a === undefined) return b === null || b === undefined ? 0 : 1;
  if (b === null || b === undefined) return -1;
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

export class LiveTable {
  columns = $state.raw<Column[]>([]);
  rows = $state.raw<Row[]>([]);
  loaded = $state(false);
  problem = $state.raw<Problem>();
  #dirty = new Map<string, Meta>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stop: (() => void) | undefined;
  #ended = false;

  constructor(
    readonly kind: KindRef,
    readonly project: string | undefined,
  ) {
    void this.#begin();
  }

  refresh(): void {
    void this.#begin();
  }

  end(): void {
    this.#ended = true;
    this.#stop?.();
    clearTimeout(this.#timer);
  }

  async #begin(): Promise<void> {
    this.#stop?.();
    this.#dirty.clear();
    try {
      let after: string | undefined;
      let version = "";
      const rows: Row[] = [];
      do {
        const table = await this.#ask(undefined, { limit: PAGE, continue: after });
        rows.push(...table.rows);
        version = table.metadata.resourceVersion;
        after = table.metadata.continue;
        if (this.#ended) return;
        this.columns = table.columnDefinitions;
      } while (after);
      this.rows = rows.sort((a, b) => (rowKey(a) < rowKey(b) ? -1 : 1));
      this.loaded = true;
      this.problem = undefined;
      this.#stop = stream.follow({
        path: pathOfKind(this.kind, this.project),
        version,
        change: ({ type, object }) => this.#changed(type, object.metadata as unknown as Meta),
        lost: () => void this.#begin(),
      });
    } catch (error) {
      this.problem = asProblem(error);
      this.loaded = true;
      if (this.problem.status === 0 || this.problem.status >= 500) setTimeout(() => this.#ended || void this.#begin(), 3000);
    }
  }

  async #ask(name: string | undefined, query: Record<string, string | number | undefined>): Promise<Table> {
    const response = await send("GET", `/k8s/${pathOfKind(this.kind, this.project, name)}`, { query, headers: { accept: ACCEPT } });
    return (await response.json()) as Table;
  }

  #changed(type: string, meta: Meta): void {
    const key = keyOf(meta);
    if (type === "DELETED") {
      this.#dirty.delete(key);
      this.rows = this.rows.filter((row) => rowKey(row) !== key);
      return;
    }
    this.#dirty.set(key, meta);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#renew(), GATHER);
  }

  async #renew(): Promise<void> {
    const changed = [...this.#dirty.values()];
    if (changed.length > SINGLE) return this.#begin();
    this.#dirty.clear();
    for (const meta of changed) {
      try {
        const space = this.kind.namespaced ? meta.namespace : undefined;
        const response = await send("GET", `/k8s/${pathOfKind(this.kind, space, meta.name)}`, { headers: { accept: ACCEPT } });
        const row = ((await response.json()) as Table).rows[0];
        if (row && !this.#ended) this.rows = putRow(this.rows, row);
      } catch (error) {
        // What is gone by now was told as deleted, or will be.
        if (!(error instanceof Problem && error.status === 404)) return this.#begin();
      }
    }
  }
}

/** Such a list for a component: call it while one is initialised. */
export function liveTable(kind: () => KindRef, project: () => string | undefined): { readonly now: LiveTable } {
  const space = () => (kind().namespaced ? project() : undefined);
  let current = $state.raw(new LiveTable(kind(), space()));
  $effect(() => {
    const [wanted, where] = [kind(), space()];
    if (current.project !== where || current.kind.plural !== wanted.plural || current.kind.group !== wanted.group) {
      current.end();
      current = new LiveTable(wanted, where);
    }
  });
  $effect(() => () => current.end());
  return {
    get now() {
      return current;
    },
  };
}

/** The objects of a kind whose owner is one of these. */
export async function ownedBy(uid: string, kinds: readonly KindRef[], project: string | undefined): Promise<{ kind: KindRef; meta: Meta }[]> {
  const accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
  const found = await Promise.all(
    kinds.map(async (kind) => {
      try {
        const response = await send("GET", `/k8s/${pathOfKind(kind, project)}`, { headers: { accept } });
        const { items } = (await response.json()) as { items: { metadata: Meta }[] };
        return items.map((item) => ({ kind, meta: item.metadata }));
      } catch {
        // What one may not list, one does not see here.
        return [];
      }
    }),
  );
  const all = found.flat();
  // What is owned by what is owned goes along, too.
  const taken = new Set([uid]);
  const result: { kind: KindRef; meta: Meta }[] = [];
  for (let before = -1; before !== result.length; ) {
    before = result.length;
    for (const item of all) {
      const owners = item.meta.ownerReferences ?? [];
      if (!item.meta.uid || taken.has(item.meta.uid) || owners.length === 0) continue;
      if (owners.every((owner) => taken.has(owner.uid))) {
        taken.add(item.meta.uid);
        result.push(item);
      }
    }
  }
  return result;
}

/** Everything in a project, counted by kind. */
export async function contents(kinds: readonly KindRef[], project: string): Promise<{ kind: KindRef; count: number }[]> {
  const counts = await Promise.all(
    kinds
      .filter((kind) => kind.namespaced && kind.plural !== "events")
      .map(async (kind) => {
        try {
          const { items } = await get<{ items: unknown[] }>(`/k8s/${pathOfKind(kind, project)}`);
          return { kind, count: items.length };
        } catch {
          return { kind, count: 0 };
        }
      }),
  );
  return counts.filter((entry) => entry.count > 0);
}

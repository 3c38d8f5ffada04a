/**
 * Every operation that takes a while, wherever it is kept: objects whose status has steps, batches, and runs of
 * evaluations. Followed as they go.
 */

import { untrack } from "svelte";
import { get } from "../api/client";
import { Live, type Thing } from "../api/kinds.svelte";
import { Problem, asProblem } from "../api/problem";
import { session } from "../api/session.svelte";
import { kinds, type Kind } from "../kinds/discovery.svelte";
import { schemaOf } from "../kinds/schema";
import { ofBatch, ofEvaluation, ofThing, type Batch, type Evaluation, type Operation } from "./operation";

/** How often what cannot be followed is asked for, in milliseconds. */
const AGAIN = 5000;
const QUIET = 30_000;

class Activity {
  #lives = $state.raw<{ kind: Kind; live: Live<Thing>; retries: boolean }[]>([]);
  #batches = $state.raw<Batch[]>([]);
  #evaluations = $state.raw<Evaluation[]>([]);
  loaded = $state(false);
  problem = $state.raw<Problem>();
  #project: string | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #users = 0;

  /** Everything, the newest first. */
  operations = $derived.by<Operation[]>(() => {
    const things = this.#lives.flatMap(({ kind, live, retries }) =>
      live.items.filter((thing) => (thing.status?.steps?.length ?? 0) > 0).map((thing) => ofThing(thing, kind, retries)),
    );
    const all = [...things, ...this.#batches.map(ofBatch), ...this.#evaluations.map((run) => ofEvaluation(run, this.#project ?? "default"))];
    return all.sort((a, b) => ((a.started ?? "") > (b.started ?? "") ? -1 : 1));
  });
  running = $derived(this.operations.filter((operation) => operation.state === "Running"));

  /** Follows a project until what is returned is called. */
  follow(project: string): () => void {
    // Who follows in an effect depends on nothing by it.
    untrack(() => {
      this.#users += 1;
      if (this.#project !== project) void this.#begin(project);
    });
    return () =>
      untrack(() => {
        this.#users -= 1;
        if (this.#users === 0) this.#end();
      });
  }

  refresh(): void {
    void this.#ask();
  }

  async #begin(project: string): Promise<void> {
    this.#end();
    this.#project = project;
    this.loaded = false;
    await kinds.load();
    const found = await withSteps(kinds.list);
    if (this.#project !== project) return;
    this.#lives = found.map(({ kind, retries }) => ({ kind, retries, live: new Live<Thing>(kind, kind.namespaced ? project : undefined) }));
    await this.#ask();
  }

  #end(): void {
    this.#project = undefined;
    clearTimeout(this.#timer);
    for (const { live } of this.#lives) live.end();
    this.#lives = [];
    this.#batches = [];
    this.#evaluations = [];
  }

  async #ask(): Promise<void> {
    clearTimeout(this.#timer);
    const project = this.#project;
    if (!project || !session.me) return;
    try {
      const [batches, evaluations] = await Promise.all([
        get<{ data: Batch[] }>("/v1/batches", { limit: 100 }).then((page) => page.data, none<Batch>),
        get<{ items: Evaluation[] }>("/api/evaluations", { project, limit: 100 }).then((page) => page.items, none<Evaluation>),
      ]);
      if (this.#project !== project) return;
      this.#batches = batches;
      this.#evaluations = evaluations;
      this.problem = undefined;
    } catch (error) {
      this.problem = asProblem(error);
    }
    this.loaded = true;
    const busy = [...this.#batches.map(ofBatch), ...this.#evaluations.map((run) => ofEvaluation(run, project))].some((operation) => operation.state === "Running");
    this.#timer = setTimeout(() => (document.hidden ? void (this.#timer = setTimeout(() => void this.#ask(), QUIET)) : void this.#ask()), busy ? AGAIN : QUIET);
  }
}

/** What one may not see, or what this server does not have, is no activity. */
function none<T>(error: unknown): T[] {
  if (error instanceof Problem && [401, 403, 404, 501].includes(error.status)) return [];
  throw error;
}

/** The kinds whose status has steps, by their schemas; and whether another try can be asked for. */
async function withSteps(all: readonly Kind[]): Promise<{ kind: Kind; retries: boolean }[]> {
  const own = all.filter((kind) => kind.status && kind.group !== "" && !kind.group.endsWith("k8s.io"));
  const found = await Promise.all(
    own.map(async (kind) => {
      const status = (await schemaOf(kind).catch(() => undefined))?.properties?.["status"]?.properties;
      return status?.["steps"] ? { kind, retries: status["observedRetry"] !== undefined } : undefined;
    }),
  );
  return found.filter((entry) => entry !== undefined);
}

export const activity = new Activity();

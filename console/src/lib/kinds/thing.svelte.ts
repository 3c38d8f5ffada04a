/** One object, as it is now. */

import { list, pathOfKind, type KindRef, type Thing } from "../api/kinds.svelte";
import { asProblem, type Problem } from "../api/problem";
import { stream } from "../api/stream";

export class LiveThing {
  thing = $state.raw<Thing>();
  problem = $state.raw<Problem>();
  /** Whether it was deleted, or never was. */
  gone = $state(false);
  #stop: (() => void) | undefined;
  #ended = false;

  constructor(
    readonly kind: KindRef,
    readonly project: string | undefined,
    readonly name: string,
  ) {
    void this.#begin();
  }

  refresh(): void {
    void this.#begin();
  }

  end(): void {
    this.#ended = true;
    this.#stop?.();
  }

  async #begin(): Promise<void> {
    this.#stop?.();
    this.gone = false;
    try {
      // As a list of one: its version is that of now, while the object's own may be too old to follow from.
      const { items, version } = await list<Thing>(this.kind, this.project, { fieldSelector: `metadata.name=${this.name}` });
      if (this.#ended) return;
      this.thing = items[0];
      this.gone = items.length === 0;
      this.problem = undefined;
      this.#stop = stream.follow({
        path: pathOfKind(this.kind, this.project),
        version,
        change: ({ type, object }) => {
          const other = object as unknown as Thing;
          if (other.metadata.name !== this.name) return;
          if (type === "DELETED") this.gone = true;
          else {
            this.gone = false;
            this.thing = other;
          }
        },
        lost: () => void this.#begin(),
      });
    } catch (error) {
      const problem = asProblem(error);
      if (problem.status === 404) this.gone = true;
      else this.problem = problem;
      if (problem.status === 0 || problem.status >= 500) setTimeout(() => this.#ended || void this.#begin(), 3000);
    }
  }
}

/** Such an object for a component: call it while one is initialised. */
export function liveThing(kind: () => KindRef, project: () => string | undefined, name: () => string): { readonly now: LiveThing } {
  const space = () => (kind().namespaced ? project() : undefined);
  let current = $state.raw(new LiveThing(kind(), space(), name()));
  $effect(() => {
    const [where, wanted] = [space(), name()];
    if (current.project !== where || current.name !== wanted) {
      current.end();
      current = new LiveThing(kind(), where, wanted);
    }
  });
  $effect(() => () => current.end());
  return {
    get now() {
      return current;
    },
  };
}

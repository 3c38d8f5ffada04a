/** Views of traces: a few that everybody has, and those that were saved in this browser. */

export interface View {
  name: string;
  q: string;
  since: string;
}

const KEY = "stead.traces.views";
const GIVEN: View[] = [
  { name: "All", q: "", since: "24h" },
  { name: "Errors", q: "status:error", since: "24h" },
  { name: "Slow", q: "latency>5s", since: "24h" },
  { name: "Costly", q: "cost>0.01", since: "7d" },
];

function stored(): View[] {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(found) ? found.filter((view) => typeof view?.q === "string" && typeof view?.name === "string") : [];
  } catch {
    return [];
  }
}

class Views {
  own = $state.raw<View[]>(stored());
  all = $derived([...GIVEN, ...this.own]);

  save(view: View): void {
    if (GIVEN.some((given) => given.q === view.q)) return;
    this.#put([...this.own.filter((other) => other.name !== view.name), view]);
  }

  remove(name: string): void {
    this.#put(this.own.filter((view) => view.name !== name));
  }

  #put(views: View[]): void {
    this.own = views;
    try {
      localStorage.setItem(KEY, JSON.stringify(views));
    } catch {
      // They hold until the page is left.
    }
  }
}

export const views = new Views();

/**
 * The one event stream: every watch of every page goes over a single connection (`GET /api/stream`), since browsers
 * open six to a server at most.
 *
 * A topic is a path below `/k8s` (`apis/stead.dev/v1alpha1/namespaces/default/models`) with the resource version that
 * is known. After a break it goes on where it was, by `Last-Event-ID`; what can't be gone on with is listed anew.
 */

export interface Change {
  type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  object: { metadata?: { resourceVersion?: string }; code?: number; [field: string]: unknown };
}

interface Topic {
  path: string;
  version: string;
  /** What happens with a change. */
  change: (change: Change) => void;
  /** What happens when the versions since are gone: everything is to be listed anew. */
  lost: () => void;
}

export type Connection = "idle" | "connecting" | "open" | "broken";

/** The address of the stream for some topics. Pure. */
export function address(topics: { path: string; version: string }[]): string {
  const query = topics.map((topic) => `topic=${encodeURIComponent(`${topic.path}@${topic.version}`)}`);
  return `/api/stream?${query.join("&")}`;
}

export class Stream {
  #topics = new Map<number, Topic>();
  #next = 0;
  #source: EventSource | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  #listeners = new Set<(state: Connection) => void>();
  #state: Connection = "idle";

  constructor(private readonly open: (url: string) => EventSource = (url) => new EventSource(url)) {}

  /** Follows a topic from a version on, until what is returned is called. */
  follow(topic: Topic): () => void {
    const id = this.#next++;
    this.#topics.set(id, topic);
    this.#soon(20);
    return () => {
      this.#topics.delete(id);
      this.#soon(500);
    };
  }

  /** Tells whether the connection stands; returns what ends that. */
  listen(listener: (state: Connection) => void): () => void {
    this.#listeners.add(listener);
    listener(this.#state);
    return () => this.#listeners.delete(listener);
  }

  /** Topics of one moment become one connection. */
  #soon(delay: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), delay);
  }

  #say(state: Connection): void {
    if (state === this.#state) return;
    this.#state = state;
    for (const listener of this.#listeners) listener(state);
  }

  #connect(): void {
    this.#source?.close();
    this.#source = undefined;
    const topics = [...this.#topics.values()];
    if (topics.length === 0) return this.#say("idle");
    this.#say(this.#failures > 0 ? "broken" : "connecting");
    const source = this.open(address(topics));
    this.#source = source;
    source.onopen = () => {
      this.#failures = 0;
      this.#say("open");
    };
    source.addEventListener("change", (event) => this.#told(topics, event.data as string));
    source.onerror = () => {
      // The browser would try again by itself, but with the address that it has; the versions there are old by now.
      source.close();
      if (this.#source !== source) return;
      this.#failures += 1;
      this.#say("broken");
      this.#soon(Math.min(250 * 2 ** this.#failures, 5000));
    };
  }

  #told(topics: Topic[], data: string): void {
    const { topic: index, ...change } = JSON.parse(data) as Change & { topic: number };
    const topic = topics[index];
    if (!topic) return;
    if (change.type === "ERROR") {
      topic.lost();
      return;
    }
    const version = change.object.metadata?.resourceVersion;
    if (version) topic.version = version;
    if (change.type !== "BOOKMARK") topic.change(change);
  }
}

export const stream = new Stream();

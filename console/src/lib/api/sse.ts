/** Server-sent events out of pieces of text (https://html.spec.whatwg.org/multipage/server-sent-events.html). Pure. */

export interface Told {
  event: string;
  data: string;
  id: string;
}

/** Takes pieces, gives whole events; a piece may end anywhere, also within a line's end. */
export class Reader {
  #rest = "";
  #event = "";
  #id = "";
  #data: string[] = [];

  take(piece: string): Told[] {
    this.#rest += piece;
    const told: Told[] = [];
    for (;;) {
      const end = /\r\n|\n|\r(?!$)/.exec(this.#rest);
      if (!end) return told;
      const line = this.#rest.slice(0, end.index);
      this.#rest = this.#rest.slice(end.index + end[0].length);
      const event = this.#line(line);
      if (event) told.push(event);
    }
  }

  #line(line: string): Told | undefined {
    if (line === "") {
      if (this.#data.length === 0) {
        this.#event = "";
        return undefined;
      }
      const told = { event: this.#event || "message", data: this.#data.join("\n"), id: this.#id };
      this.#event = "";
      this.#data = [];
      return told;
    }
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#event = value;
    else if (name === "id") this.#id = value;
    return undefined;
  }
}

/** The events of a response, as they come. */
export async function* events(response: Response): AsyncGenerator<Told> {
  const body = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (!body) return;
  const reader = new Reader();
  try {
    for (;;) {
      const { done, value } = await body.read();
      if (done) return;
      yield* reader.take(value);
    }
  } finally {
    body.cancel().catch(() => {});
  }
}

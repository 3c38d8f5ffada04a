/** What is tried: one input, several columns that answer it. */

import { ask, Broken, costOf, type Answer, type Message, type Parameters } from "$lib/api/completions";
import { Problem, asProblem } from "$lib/api/problem";
import { fill, variables } from "$lib/playground/code";

export interface Turn {
  role: "system" | "user" | "assistant";
  content: string;
}

export class Column {
  readonly id = crypto.randomUUID();
  model = $state("");
  parameters = $state.raw<Parameters>({});
  answer = $state.raw<Answer | undefined>(undefined);
  problem = $state.raw<Problem | undefined>(undefined);
  cost = $state<number | undefined>(undefined);
  busy = $state(false);
  #stop: AbortController | undefined;

  constructor(model: string, parameters: Parameters = {}) {
    this.model = model;
    this.parameters = parameters;
  }

  stop(): void {
    this.#stop?.abort();
  }

  async run(messages: Message[], common: Parameters, project: string): Promise<Answer | undefined> {
    this.#stop?.abort();
    const stop = new AbortController();
    this.#stop = stop;
    this.busy = true;
    this.problem = undefined;
    this.cost = undefined;
    this.answer = { text: "", thoughts: "", tools: [], took: {} };
    let frame = 0;
    let latest = this.answer;
    try {
      const answer = await ask({
        model: this.model,
        messages,
        parameters: { ...common, ...this.parameters },
        project,
        signal: stop.signal,
        grown: (so_far) => {
          latest = so_far;
          frame ||= requestAnimationFrame(() => {
            frame = 0;
            this.answer = { ...latest };
          });
        },
      });
      cancelAnimationFrame(frame);
      this.answer = { ...answer };
      this.busy = false;
      if (answer.requestId) this.cost = await costOf(answer.requestId);
      return answer;
    } catch (error) {
      cancelAnimationFrame(frame);
      if (error instanceof Broken) this.answer = { ...error.answer };
      this.problem = error instanceof Broken ? error.problem : asProblem(error);
      this.busy = false;
      return undefined;
    }
  }
}

export interface Draft {
  turns: Turn[];
  values: Record<string, string>;
  schema: string;
  tools: string;
  columns: { model: string; parameters: Parameters }[];
}

const KEY = "stead.playground";
export const MOST = 6;

export class Bench {
  turns = $state<Turn[]>([{ role: "user", content: "" }]);
  values = $state<Record<string, string>>({});
  schema = $state("");
  tools = $state("");
  columns = $state.raw<Column[]>([]);

  names = $derived(variables(this.turns.map((turn) => turn.content)));
  busy = $derived(this.columns.some((column) => column.busy));
  schemaProblem = $derived(problemOfJson(this.schema, "object"));
  toolsProblem = $derived(problemOfJson(this.tools, "array"));
  ready = $derived(this.turns.some((turn) => turn.content.trim() !== "") && !this.schemaProblem && !this.toolsProblem);

  messages(values: Record<string, string> = this.values): Message[] {
    return this.turns.filter((turn) => turn.content.trim() !== "").map(({ role, content }) => ({ role, content: fill(content, values) }));
  }

  common(): Parameters {
    const common: Parameters = {};
    if (this.schema.trim()) common.response_format = { type: "json_schema", json_schema: { name: "answer", strict: true, schema: JSON.parse(this.schema) } };
    if (this.tools.trim()) common.tools = JSON.parse(this.tools) as unknown[];
    return common;
  }

  async run(project: string): Promise<void> {
    if (!this.ready) return;
    const messages = this.messages();
    const common = this.common();
    this.keep();
    await Promise.all(this.columns.map((column) => column.run(messages, common, project)));
  }

  stop(): void {
    for (const column of this.columns) column.stop();
  }

  add(model: string, parameters: Parameters = {}): void {
    if (this.columns.length < MOST) this.columns = [...this.columns, new Column(model, parameters)];
  }

  remove(column: Column): void {
    column.stop();
    if (this.columns.length > 1) this.columns = this.columns.filter((other) => other !== column);
  }

  /** Keeps what is written for the next visit. */
  keep(): void {
    const { turns, values, schema, tools } = this;
    const columns = this.columns.map(({ model, parameters }) => ({ model, parameters }));
    try {
      localStorage.setItem(KEY, JSON.stringify({ turns, values, schema, tools, columns } satisfies Draft));
    } catch {
      // It is here until the page is left.
    }
  }

  restore(): boolean {
    try {
      const draft = JSON.parse(localStorage.getItem(KEY) ?? "null") as Draft | null;
      if (!draft?.turns?.length) return false;
      this.turns = draft.turns;
      this.values = draft.values ?? {};
      this.schema = draft.schema ?? "";
      this.tools = draft.tools ?? "";
      this.columns = (draft.columns ?? []).slice(0, MOST).map((column) => new Column(column.model, column.parameters));
      return true;
    } catch {
      return false;
    }
  }
}

function problemOfJson(text: string, kind: "object" | "array"): string | undefined {
  if (text.trim() === "") return undefined;
  try {
    const value: unknown = JSON.parse(text);
    const right = kind === "array" ? Array.isArray(value) : typeof value === "object" && value !== null && !Array.isArray(value);
    return right ? undefined : `this is no ${kind}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

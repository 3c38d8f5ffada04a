/** One conversation as it is on the page: what was said, what is being answered, and what is not stored yet. */

import { ask, Broken, costOf, type Answer, type Content, type Message, type Parameters } from "$lib/api/completions";
import { Problem, asProblem } from "$lib/api/problem";
import { append, changeThread, createThread, newId, readMessages, readThread, searchCollections, type NewMessage, type Options, type Thread } from "$lib/chat/threads";
import { Tree, textOf, type Citation, type Details, type Said } from "$lib/chat/tree";

/** An answer that is on its way. */
export class Coming {
  readonly id = newId();
  answer = $state.raw<Answer>({ text: "", thoughts: "", tools: [], took: {} });
  readonly stop = new AbortController();
  constructor(
    readonly model: string,
    readonly parent: string,
    readonly citations: Citation[],
    readonly together: string | undefined,
  ) {}
}

/** How long it is waited before what could not be stored is tried again, in milliseconds. */
const AGAIN = [500, 1000, 2000, 4000, 8000];

export class Conversation {
  thread = $state.raw<Thread | undefined>(undefined);
  messages = $state.raw<Said[]>([]);
  leaf = $state<string | null>(null);
  coming = $state.raw<Coming[]>([]);
  /** Why the last answer failed. */
  problem = $state.raw<Problem | undefined>(undefined);
  /** How many messages are said but not stored yet. */
  unsaved = $state(0);
  loaded = $state(false);

  model = $state("");
  system = $state("");
  options = $state.raw<Options>({});
  temporary = $state(false);

  tree = $derived(new Tree(this.messages));
  path = $derived(this.tree.path(this.leaf));
  busy = $derived(this.coming.length > 0);

  constructor(
    readonly project: string,
    /** Called once the thread has an address. */
    private readonly made: (thread: Thread) => void,
    /** Called whenever the thread was changed. */
    private readonly changed: (thread: Thread) => void,
  ) {}

  async open(id: string): Promise<void> {
    const [thread, messages] = await Promise.all([readThread(this.project, id), readMessages(this.project, id)]);
    this.thread = thread;
    this.messages = messages;
    this.leaf = thread.leaf ?? this.tree.newest()?.id ?? null;
    this.model = thread.model;
    this.system = thread.system;
    this.options = thread.options ?? {};
    this.loaded = true;
  }

  /** Begins a new one; nothing is stored before something is said. */
  begin(model: string): void {
    this.model = model;
    this.loaded = true;
  }

  /** Asks a question after what is shown, or, when another is edited, in its place. */
  async say(content: Content, details: Details = {}, insteadOf?: Said): Promise<void> {
    const parent = insteadOf ? insteadOf.parent : this.leaf;
    const question: Said = { id: newId(), parent, role: "user", content, created: new Date().toISOString(), details };
    this.#add(question);
    void this.#store(question);
    await this.#answer(question);
  }

  /** Another answer to the same question, by the same or another model. */
  async again(answer: Said, model = answer.model ?? this.model): Promise<void> {
    const question = answer.parent ? this.tree.byId.get(answer.parent) : undefined;
    if (!question) return;
    this.leaf = question.id;
    await this.#answer(question, [model]);
  }

  /** An answer to a question that has none. */
  async answer(question: Said): Promise<void> {
    await this.#answer(question);
  }

  stop(): void {
    for (const coming of this.coming) coming.stop.abort();
  }

  /** Shows the branch that a message begins. */
  show(message: Said): void {
    this.leaf = this.tree.end(message).id;
    if (this.thread && !this.temporary) {
      const leaf = this.leaf;
      void changeThread(this.project, this.thread.id, { leaf }).then((thread) => (this.thread = thread), () => {});
    }
  }

  /** Changes the model, the system prompt, the parameters, the title … */
  async set(change: { model?: string; system?: string; options?: Options; title?: string; folder?: string; pinned?: boolean }): Promise<void> {
    if (change.model !== undefined) this.model = change.model;
    if (change.system !== undefined) this.system = change.system;
    if (change.options !== undefined) this.options = change.options;
    if (!this.thread) return;
    this.thread = await changeThread(this.project, this.thread.id, change);
    this.changed(this.thread);
  }

  /** Keeps what came so far when the page is left. */
  leave(): void {
    for (const coming of this.coming) {
      const said = this.#said(coming, coming.answer, "interrupted");
      if (this.thread && !this.temporary && coming.answer.text) {
        void append(this.project, this.thread.id, said as NewMessage, true).catch(() => {});
      }
    }
  }

  async #answer(question: Said, models?: string[]): Promise<void> {
    this.problem = undefined;
    const asked = models ?? [this.model, ...(this.options.beside ?? [])];
    let citations: Citation[];
    try {
      citations = await this.#cite(question);
    } catch (error) {
      this.problem = asProblem(error);
      return;
    }
    const together = asked.length > 1 ? newId() : undefined;
    const coming = asked.map((model) => new Coming(model, question.id, citations, together));
    this.coming = [...this.coming, ...coming];
    const messages = this.#prompt(question, citations);
    await Promise.all(coming.map((one) => this.#receive(one, messages)));
  }

  async #receive(coming: Coming, messages: Message[]): Promise<void> {
    let answer = coming.answer;
    let finish: string | undefined;
    let problem: Problem | undefined;
    // What came is shown once a frame, however often it comes.
    let frame = 0;
    const grown = (so_far: Answer) => {
      answer = so_far;
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        coming.answer = { ...answer };
      });
    };
    try {
      answer = await ask({
        model: coming.model,
        messages,
        parameters: parametersOf(this.options),
        project: this.project,
        signal: coming.stop.signal,
        grown,
      });
      finish = answer.finish;
    } catch (error) {
      if (error instanceof Broken) answer = error.answer;
      problem = error instanceof Broken ? error.problem : asProblem(error);
      finish = "error";
    }
    cancelAnimationFrame(frame);
    this.coming = this.coming.filter((one) => one !== coming);
    if (problem) this.problem = problem;
    const empty = answer.text === "" && answer.thoughts === "" && answer.tools.length === 0;
    if (empty && finish !== "stop") return;
    const said = this.#said(coming, answer, finish, problem);
    // The first of several stands on the branch; the others are beside it.
    const first = this.leaf === coming.parent;
    this.#add(said, first ? said.id : this.leaf);
    await this.#store(said, answer.requestId && !problem ? costOf(answer.requestId) : undefined);
  }

  #said(coming: Coming, answer: Answer, finish?: string, problem?: Problem): Said {
    const details: Details = {};
    if (answer.requestId) details.requestId = answer.requestId;
    if (answer.traceId) details.traceId = answer.traceId;
    if (answer.thoughts) details.thoughts = answer.thoughts;
    if (answer.tools.length > 0) details.tools = answer.tools;
    if (coming.citations.length > 0) details.citations = coming.citations;
    if (coming.together) details.together = coming.together;
    if (problem) details.error = problem.message;
    return {
      id: coming.id,
      parent: coming.parent,
      role: "assistant",
      content: answer.text,
      created: new Date().toISOString(),
      model: coming.model,
      finish: finish ?? "stop",
      usage: { ...answer.took },
      details,
    };
  }

  /** The passages that a question is answered from. */
  async #cite(question: Said): Promise<Citation[]> {
    const collections = this.options.collections ?? [];
    const text = textOf(question.content).trim();
    if (collections.length === 0 || text === "") return [];
    const found = await searchCollections(this.project, collections, text.slice(0, 2000));
    return found.map(({ name, text, document, index }) => ({ name, text, document, index }));
  }

  /** What the model is told. */
  #prompt(question: Said, citations: Citation[]): Message[] {
    const said = this.tree.path(question.id).filter((message) => message.role !== "tool");
    const messages: Message[] = said.map(({ role, content }) => ({ role, content }));
    const system = [this.system.trim(), sourcesOf(citations)].filter(Boolean).join("\n\n");
    if (system) messages.unshift({ role: "system", content: system });
    return messages.filter((message) => message.role !== "assistant" || textOf(message.content) !== "");
  }

  #add(message: Said, leaf: string | null = message.id): void {
    this.messages = [...this.messages, message];
    this.leaf = leaf;
  }

  #making: Promise<Thread> | undefined;

  /** The thread, made when the first thing is said. */
  async #thread(): Promise<Thread> {
    if (this.thread) return this.thread;
    this.#making ??= createThread(this.project, { model: this.model, system: this.system, options: this.options });
    try {
      const thread = await this.#making;
      if (!this.thread) {
        this.thread = thread;
        this.made(thread);
      }
      return this.thread;
    } catch (error) {
      this.#making = undefined;
      throw error;
    }
  }

  /** Messages are stored in the order in which they were said. */
  #queue: Promise<void> = Promise.resolve();

  #store(message: Said, cost?: Promise<number | undefined>): Promise<void> {
    if (!this.temporary) this.unsaved += 1;
    this.#queue = this.#queue.then(async () => {
      const dollars = await cost;
      if (dollars) {
        message = { ...message, usage: { ...message.usage, cost: dollars } };
        this.messages = this.messages.map((other) => (other.id === message.id ? message : other));
      }
      if (!this.temporary) await this.#keep(message);
    });
    return this.#queue;
  }

  /** Stores a message, and tries again for as long as the server does not answer. */
  async #keep(message: Said): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        const thread = await this.#thread();
        await append(this.project, thread.id, message);
        this.unsaved -= 1;
        if (!this.thread?.title || attempt === 0) {
          this.thread = await readThread(this.project, thread.id);
          this.changed(this.thread);
        }
        return;
      } catch (error) {
        const problem = asProblem(error);
        if (problem.status !== 0 && problem.status < 500) {
          this.unsaved -= 1;
          this.problem = problem;
          return;
        }
        await new Promise((resolve) => setTimeout(resolve, AGAIN[Math.min(attempt, AGAIN.length - 1)]));
      }
    }
  }
}

function parametersOf(options: Options): Parameters {
  const { beside: _, collections: __, ...parameters } = options;
  return parameters;
}

/** How the passages are told to a model. Pure. */
export function sourcesOf(citations: readonly Citation[]): string {
  if (citations.length === 0) return "";
  const passages = citations.map((citation, index) => `[${index + 1}] ${citation.name}\n${citation.text}`);
  return `Answer from these passages where they help, and name them by their number in brackets, like [1]. Say so when they do not answer the question.\n\n${passages.join("\n\n")}`;
}

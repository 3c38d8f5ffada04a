/** Asking a model by `/v1/chat/completions`, streamed, and what it took. */

import { get, send } from "./client";
import { Problem, problemOf } from "./problem";
import { events } from "./sse";

export type Part = { type: "text"; text: string } | { type: "image_url"; image_url: { url: string } };
export type Content = string | Part[];

export interface Message {
  role: "system" | "user" | "assistant" | "tool";
  content: Content;
  tool_calls?: ToolCall[];
  tool_call_id?: string;
}

export interface ToolCall {
  id: string;
  type: "function";
  function: { name: string; arguments: string };
}

export interface Parameters {
  temperature?: number;
  top_p?: number;
  max_tokens?: number;
  seed?: number;
  stop?: string[];
  response_format?: unknown;
  tools?: unknown[];
}

/** What an answer took. Times in milliseconds, money in dollars. */
export interface Took {
  input?: number;
  output?: number;
  firstToken?: number;
  total?: number;
  cost?: number;
}

export interface Answer {
  text: string;
  thoughts: string;
  tools: ToolCall[];
  finish?: string;
  model?: string;
  requestId?: string;
  traceId?: string;
  took: Took;
}

export interface Asked {
  model: string;
  messages: Message[];
  parameters?: Parameters;
  project: string;
  signal?: AbortSignal;
  /** Called with the answer so far, whenever there is more of it. */
  grown?: (answer: Answer) => void;
}

interface Chunk {
  model?: string;
  choices?: {
    delta?: {
      content?: string | null;
      reasoning_content?: string | null;
      reasoning?: string | null;
      tool_calls?: { index?: number; id?: string; function?: { name?: string; arguments?: string } }[];
    };
    finish_reason?: string | null;
  }[];
  usage?: { prompt_tokens?: number; completion_tokens?: number } | null;
  error?: unknown;
}

/** Adds a chunk to an answer. Pure but for the answer itself. */
export function grow(answer: Answer, chunk: Chunk): void {
  if (chunk.model) answer.model = chunk.model;
  const choice = chunk.choices?.[0];
  const delta = choice?.delta;
  if (delta?.content) answer.text += delta.content;
  const thought = delta?.reasoning_content ?? delta?.reasoning;
  if (thought) answer.thoughts += thought;
  for (const call of delta?.tool_calls ?? []) {
    const index = call.index ?? answer.tools.length;
    const known = (answer.tools[index] ??= { id: "", type: "function", function: { name: "", arguments: "" } });
    if (call.id) known.id = call.id;
    if (call.function?.name) known.function.name += call.function.name;
    if (call.function?.arguments) known.function.arguments += call.function.arguments;
  }
  if (choice?.finish_reason) answer.finish = choice.finish_reason;
  if (chunk.usage) {
    if (chunk.usage.prompt_tokens !== undefined) answer.took.input = chunk.usage.prompt_tokens;
    if (chunk.usage.completion_tokens !== undefined) answer.took.output = chunk.usage.completion_tokens;
  }
}

/** The request's body, as a program would send it too. Pure. */
export function bodyOf(asked: Pick<Asked, "model" | "messages" | "parameters">): Record<string, unknown> {
  const body: Record<string, unknown> = { model: asked.model, messages: asked.messages };
  for (const [name, value] of Object.entries(asked.parameters ?? {})) {
    if (value !== undefined && value !== null && !(Array.isArray(value) && value.length === 0)) body[name] = value;
  }
  return body;
}

/**
 * Asks, and gives the whole answer. What was cancelled is an answer that ended with `stopped`; what broke off throws a
 * `Broken` with what there was.
 */
export async function ask(asked: Asked): Promise<Answer> {
  const started = performance.now();
  const answer: Answer = { text: "", thoughts: "", tools: [], took: {} };
  const stopped = () => {
    answer.finish = "stopped";
    answer.took.total = performance.now() - started;
    return answer;
  };
  let response: Response;
  try {
    response = await send("POST", "/v1/chat/completions", {
      body: { ...bodyOf(asked), stream: true, stream_options: { include_usage: true } },
      headers: { "x-stead-project": asked.project },
      ...(asked.signal ? { signal: asked.signal } : {}),
    });
  } catch (error) {
    if (asked.signal?.aborted) return stopped();
    throw error;
  }
  answer.requestId = response.headers.get("x-stead-request-id") ?? undefined;
  answer.traceId = response.headers.get("x-stead-trace-id") ?? undefined;
  let ended = false;
  try {
    for await (const told of events(response)) {
      if (told.data === "[DONE]") {
        ended = true;
        break;
      }
      const chunk = JSON.parse(told.data) as Chunk;
      if (chunk.error) throw problemOf(502, chunk, answer.requestId);
      grow(answer, chunk);
      if (answer.took.firstToken === undefined && (answer.text || answer.thoughts || answer.tools.length > 0)) {
        answer.took.firstToken = performance.now() - started;
      }
      asked.grown?.(answer);
    }
    if (!ended && !answer.finish) throw new TypeError("the stream ended before the answer did");
  } catch (error) {
    if (asked.signal?.aborted) return stopped();
    answer.took.total = performance.now() - started;
    const problem =
      error instanceof Problem
        ? error
        : new Problem({
            what: "The answer broke off",
            why: "the connection to the server ended",
            hint: "what came so far is kept; ask again when the server is back",
            status: 0,
            ...(answer.requestId ? { requestId: answer.requestId } : {}),
          });
    throw new Broken(problem, answer);
  }
  answer.took.total = performance.now() - started;
  return answer;
}

/** An answer that broke off, with what there was. */
export class Broken extends Error {
  constructor(
    readonly problem: Problem,
    readonly answer: Answer,
  ) {
    super(problem.message);
  }
}

/** Tokens a second, once the first was there; `undefined` when that says nothing. Pure. */
export function speed(took: Took): number | undefined {
  const { output, firstToken, total } = took;
  if (!output || output < 2 || firstToken === undefined || total === undefined || total <= firstToken) return undefined;
  return (output - 1) / ((total - firstToken) / 1000);
}

/** What the server billed for a request, in dollars, if it is told within a moment. */
export async function costOf(requestId: string): Promise<number | undefined> {
  await new Promise((resolve) => setTimeout(resolve, 250));
  try {
    const row = await get<{ cost?: number | null }>(`/api/requests/${requestId}`);
    return row.cost === undefined || row.cost === null ? undefined : row.cost / 1e9;
  } catch {
    return undefined;
  }
}

/** The models that may be asked, by name. */
export async function modelNames(project: string): Promise<string[]> {
  const answer = await send("GET", "/v1/models", { headers: { "x-stead-project": project } });
  const body = (await answer.json()) as { data: { id: string }[] };
  return body.data.map((model) => model.id);
}

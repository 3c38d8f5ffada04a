/** What went wrong, why, and what to do about it: one form for the errors of all of the server's APIs. Pure. */

export interface ProblemParts {
  /** What did not happen: one sentence. */
  what: string;
  /** Why; absent when `what` says it. */
  why?: string;
  /** What to do about it. */
  hint?: string;
  /** The server's word for the reason: `not_found`. */
  reason?: string;
  /** The HTTP status; 0 when there was no answer. */
  status: number;
  /** By which the server's records know the request. */
  requestId?: string;
}

export class Problem extends Error {
  readonly what: string;
  readonly why: string | undefined;
  readonly hint: string | undefined;
  readonly reason: string | undefined;
  readonly status: number;
  readonly requestId: string | undefined;

  constructor(parts: ProblemParts) {
    super(parts.why ? `${parts.what}: ${parts.why}` : parts.what);
    this.name = "Problem";
    this.what = parts.what;
    this.why = parts.why;
    this.hint = parts.hint;
    this.reason = parts.reason;
    this.status = parts.status;
    this.requestId = parts.requestId;
  }
}

const WHAT: Record<number, string> = {
  400: "The server did not understand this",
  401: "You are not signed in",
  403: "You may not do this",
  404: "This does not exist",
  409: "Somebody else was faster",
  410: "This is no longer there",
  413: "This is too large",
  422: "This is not right",
  429: "A limit is reached",
  500: "The server failed",
  501: "Stead cannot do this",
  502: "The provider failed",
  503: "Something that is needed does not answer",
  504: "It took too long",
};

/** Reads an error out of an answer of `/api`, `/k8s` or `/v1`, whichever it is. */
export function problemOf(status: number, body: unknown, requestId?: string): Problem {
  const what = WHAT[status] ?? `The server answered ${status}`;
  const told = tell(body);
  return new Problem({ what, status, requestId, ...told });
}

/** What is said when the server did not answer at all. */
export function unreachable(cause: unknown): Problem {
  return new Problem({
    what: "The server does not answer",
    why: cause instanceof Error && !/fetch/i.test(cause.message) ? cause.message : undefined,
    hint: "is it running? start it with: stead up",
    reason: "unavailable",
    status: 0,
  });
}

function tell(body: unknown): { why?: string; hint?: string; reason?: string } {
  if (typeof body === "string") return body.trim() ? { why: body.trim().slice(0, 500) } : {};
  if (!isObject(body)) return {};
  const error = body["error"];
  if (isObject(error)) {
    return {
      why: text(error["message"]),
      hint: text(error["hint"]),
      reason: text(error["reason"]) ?? text(error["code"]) ?? text(error["type"]),
    };
  }
  if (typeof error === "string") return { why: error };
  return { why: text(body["message"]), reason: text(body["reason"]) };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** Any thrown thing as a problem. */
export function asProblem(thrown: unknown): Problem {
  if (thrown instanceof Problem) return thrown;
  const why = thrown instanceof Error ? thrown.message : String(thrown);
  return new Problem({ what: "Something in this page failed", why, status: 0 });
}

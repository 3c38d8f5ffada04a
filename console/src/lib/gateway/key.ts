/** Keys for the model APIs, made in the browser: the server is told the hash alone. */

/** A key with 256 random bits, and its hash as resources spell it. */
export async function newKey(): Promise<{ key: string; hash: string }> {
  const random = crypto.getRandomValues(new Uint8Array(32));
  const key = `sk-stead-${btoa(String.fromCharCode(...random)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")}`;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(key)));
  return { key, hash: `sha256:${[...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("")}` };
}

/** How long a key works, as the form offers it. */
export const LIVES = [
  { value: "", label: "Never expires" },
  { value: "1", label: "1 day" },
  { value: "7", label: "7 days" },
  { value: "30", label: "30 days" },
  { value: "90", label: "90 days" },
  { value: "365", label: "1 year" },
];

/** When a key ends that works for so many days. */
export const expiry = (days: string, now = Date.now()): string | undefined => (days === "" ? undefined : new Date(now + Number(days) * 86_400_000).toISOString().replace(/\.\d+Z$/, "Z"));

export interface Sample {
  id: string;
  label: string;
  text: string;
}

/** How a key is used, in words to copy. */
export function samples(origin: string, key: string, model: string): Sample[] {
  const base = `${origin}/v1`;
  const json = JSON.stringify(model);
  return [
    {
      id: "curl",
      label: "curl",
      text: `curl ${base}/chat/completions \\\n  -H "Authorization: Bearer ${key}" \\\n  -H "Content-Type: application/json" \\\n  -d ${quoted(`{"model": ${json}, "messages": [{"role": "user", "content": "Say hello."}]}`)}`,
    },
    { id: "env", label: ".env", text: `OPENAI_BASE_URL=${base}\nOPENAI_API_KEY=${key}` },
    {
      id: "python",
      label: "Python",
      text: `from openai import OpenAI\n\nclient = OpenAI(base_url="${base}", api_key="${key}")\nanswer = client.chat.completions.create(\n    model=${json},\n    messages=[{"role": "user", "content": "Say hello."}],\n)\nprint(answer.choices[0].message.content)`,
    },
    {
      id: "js",
      label: "JavaScript",
      text: `import OpenAI from "openai";\n\nconst client = new OpenAI({ baseURL: "${base}", apiKey: "${key}" });\nconst answer = await client.chat.completions.create({\n  model: ${json},\n  messages: [{ role: "user", content: "Say hello." }],\n});\nconsole.log(answer.choices[0].message.content);`,
    },
  ];
}

const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

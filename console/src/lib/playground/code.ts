/** The request of a column as a program would send it. Pure. */

import { bodyOf, type Message, type Parameters } from "../api/completions";

export type Language = "curl" | "python" | "javascript" | "stead";

export interface Request {
  model: string;
  messages: Message[];
  parameters: Parameters;
}

/** A text as one word of a shell. */
export function shellQuote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`;
}

export function code(language: Language, request: Request, address: string, project: string): string {
  const body = bodyOf(request);
  const pretty = JSON.stringify(body, null, 2);
  const elsewhere = project === "default" ? undefined : project;
  if (language === "curl") {
    const lines = [`curl ${address}/v1/chat/completions`, `-H "Authorization: Bearer $STEAD_API_KEY"`, `-H 'Content-Type: application/json'`];
    if (elsewhere) lines.push(`-H 'x-stead-project: ${elsewhere}'`);
    lines.push(`-d ${shellQuote(pretty)}`);
    return lines.join(" \\\n  ");
  }
  if (language === "stead") {
    const space = elsewhere ? ` -H 'x-stead-project: ${elsewhere}'` : "";
    return `stead api POST /v1/chat/completions${space} -d ${shellQuote(JSON.stringify(body))}`;
  }
  if (language === "python") {
    const fields = Object.entries(body).map(([name, value]) => `    ${name}=${python(value, 4)},`);
    const headers = elsewhere ? `, default_headers={"x-stead-project": ${JSON.stringify(elsewhere)}}` : "";
    return `import os\nfrom openai import OpenAI\n\nclient = OpenAI(base_url=${JSON.stringify(`${address}/v1`)}, api_key=os.environ["STEAD_API_KEY"]${headers})\nanswer = client.chat.completions.create(\n${fields.join("\n")}\n)\nprint(answer.choices[0].message.content)\n`;
  }
  const headers = elsewhere ? `, defaultHeaders: { "x-stead-project": ${JSON.stringify(elsewhere)} }` : "";
  return `import OpenAI from "openai";\n\nconst client = new OpenAI({ baseURL: ${JSON.stringify(`${address}/v1`)}, apiKey: process.env.STEAD_API_KEY${headers} });\nconst answer = await client.chat.completions.create(${pretty});\nconsole.log(answer.choices[0].message.content);\n`;
}

/** A value as Python writes it. */
export function python(value: unknown, indent = 0): string {
  if (value === null || value === undefined) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value === "string") return JSON.stringify(value).replace(/\u007f/g, "\\x7f");
  if (typeof value === "number") return String(value);
  const pad = " ".repeat(indent + 4);
  const end = " ".repeat(indent);
  if (Array.isArray(value)) {
    if (value.length === 0) return "[]";
    return `[\n${value.map((item) => pad + python(item, indent + 4)).join(",\n")},\n${end}]`;
  }
  const fields = Object.entries(value);
  if (fields.length === 0) return "{}";
  return `{\n${fields.map(([name, item]) => `${pad}${JSON.stringify(name)}: ${python(item, indent + 4)}`).join(",\n")},\n${end}}`;
}

/** The variables of texts: `{{name}}`, in the order in which they come. */
export function variables(texts: readonly string[]): string[] {
  const found = new Set<string>();
  for (const text of texts) for (const match of text.matchAll(/\{\{\s*([A-Za-z_][\w.-]*)\s*\}\}/g)) found.add(match[1]!);
  return [...found];
}

/** Puts values into a text; a variable without one stays as it is. */
export function fill(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/\{\{\s*([A-Za-z_][\w.-]*)\s*\}\}/g, (whole, name: string) => (values[name] ? values[name] : whole));
}

/** Evaluations as the server has them: Opik's datasets and experiments, runs of suites, and comparisons. */

export interface Score {
  name: string;
  value: number;
}
export interface Experiment {
  id: string;
  name: string;
  dataset_id?: string;
  dataset_name?: string;
  feedback_scores?: Score[] | null;
  trace_count?: number;
  total_estimated_cost?: number | null;
  total_estimated_cost_avg?: number | null;
  duration?: { p50?: number; p90?: number } | null;
  created_at?: string;
  created_by?: string;
  metadata?: Record<string, unknown> | null;
  status?: string;
}
export interface Dataset {
  id: string;
  name: string;
  description?: string | null;
  dataset_items_count?: number;
  experiment_count?: number;
  created_at?: string;
  last_updated_at?: string;
  latest_version?: { version_name?: string } | null;
}
export interface Version {
  id: string;
  version_hash: string;
  version_name: string;
  tags: string[];
  is_latest: boolean;
  items_total: number;
  items_added: number;
  items_modified: number;
  items_deleted: number;
  change_description?: string;
  created_at?: string;
  created_by?: string;
}
export interface Item {
  id: string;
  data: Record<string, unknown>;
  description?: string | null;
  created_at?: string;
}
export interface Ran {
  id: string;
  experiment_id: string;
  output?: unknown;
  input?: unknown;
  feedback_scores?: Score[] | null;
  duration?: number;
  total_estimated_cost?: number;
  trace_id?: string;
}
export interface Row extends Item {
  experiment_items: Ran[];
}
export interface Comparison {
  first: { id: string; name: string };
  second: { id: string; name: string };
  confidence: number;
  scores: { name: string; items: number; first: number; second: number; difference: number; low: number; high: number; higher: number; lower: number; probabilityHigher: number }[];
}

/** The mean of an item's scores of one name; several runs of an item count alike. Pure. */
export function scoreOf(runs: readonly Ran[], name: string): number | undefined {
  const values = runs.flatMap((run) => (run.feedback_scores ?? []).filter((score) => score.name === name).map((score) => score.value));
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The names of all scores in rows, sorted. Pure. */
export const scoreNames = (rows: readonly Row[]): string[] =>
  [...new Set(rows.flatMap((row) => row.experiment_items.flatMap((run) => (run.feedback_scores ?? []).map((score) => score.name))))].sort();

/** How much worse an item is in some experiment than in the first: the largest loss of any score; 0 when none lost. Pure. */
export function loss(row: Row, ids: readonly string[], names: readonly string[]): number {
  const of = (id: string) => row.experiment_items.filter((run) => run.experiment_id === id);
  const first = of(ids[0] ?? "");
  let most = 0;
  for (const id of ids.slice(1)) {
    for (const name of names) {
      const [before, after] = [scoreOf(first, name), scoreOf(of(id), name)];
      if (before !== undefined && after !== undefined) most = Math.max(most, before - after);
    }
  }
  return most;
}

/** What a model said, of whatever form the answer has. Pure. */
export function said(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return value;
  if (typeof value === "object" && !Array.isArray(value)) {
    const map = value as Record<string, unknown>;
    const choice = (map["choices"] as { message?: { content?: unknown } }[] | undefined)?.[0]?.message?.content;
    if (typeof choice === "string") return choice;
    for (const name of ["output", "content", "text", "answer", "response"]) if (typeof map[name] === "string") return map[name];
  }
  return JSON.stringify(value);
}

/** Lines of JSON, a JSON list, or CSV with a head, as items of a dataset; throws with the line that is wrong. Pure. */
export function parseItems(text: string): Record<string, unknown>[] {
  const trimmed = text.trim();
  if (trimmed === "") return [];
  const whole = trimmed.startsWith("[") ? (JSON.parse(trimmed) as unknown[]) : trimmed.split("\n").filter((line) => line.trim() !== "").map((line, index) => parseLine(line, index + 1));
  return whole.map((item, index) => {
    if (typeof item !== "object" || item === null || Array.isArray(item)) throw new Error(`item ${index + 1} is no JSON object`);
    return item as Record<string, unknown>;
  });
}
function parseLine(line: string, number: number): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw new Error(`line ${number} is no JSON: ${line.slice(0, 60)}`);
  }
}

/** A UUID of version 7 (RFC 9562): what changes under one name is one version of a dataset. */
export function uuid7(now = Date.now()): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  for (let index = 0; index < 6; index++) bytes[index] = Math.floor(now / 2 ** (8 * (5 - index))) % 256;
  bytes[6] = (bytes[6]! & 0x0f) | 0x70;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

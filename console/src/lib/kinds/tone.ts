/** Which colour a state has. Pure. */

import type { Condition, Step, Thing } from "../api/kinds.svelte";

export type Tone = "plain" | "ok" | "warn" | "bad";

/** Conditions that are good when they are not so. */
const NEGATIVE = /^(?:Exceeded|Degraded|Stalled|Failed|Failing|Blocked|.*Pressure|NamesConflict|Firing)$/;

export function toneOf(condition: Pick<Condition, "type" | "status" | "reason">): Tone {
  if (condition.status === "Unknown") return "warn";
  const good = (condition.status === "True") !== NEGATIVE.test(condition.type);
  if (good) return "ok";
  if (/^(?:Disabled|Progressing|Pending|Fetching|Waiting|Running)$/.test(condition.reason ?? "")) return condition.reason === "Disabled" ? "plain" : "warn";
  return "bad";
}

/** The one state of an object that people look for first. */
export function stateOf(thing: Thing): { text: string; tone: Tone } | undefined {
  if (thing.metadata.deletionTimestamp) return { text: "Being deleted", tone: "warn" };
  const running = thing.status?.steps?.find((step) => step.state === "Running");
  if (running) return { text: running.name, tone: "warn" };
  const ready = thing.status?.conditions?.find((condition) => condition.type === "Ready") ?? thing.status?.conditions?.[0];
  if (!ready) return undefined;
  return { text: ready.status === "True" && ready.type === "Ready" ? "Ready" : ready.reason || ready.type, tone: toneOf(ready) };
}

/** How a cell of a table that says yes or no is shown. */
export function toneOfCell(column: string, value: unknown): Tone | undefined {
  if (value === "True" || value === true) return NEGATIVE.test(column) ? "bad" : "ok";
  if (value === "False" || value === false) return /^ready$/i.test(column) ? "bad" : "plain";
  if (value === "Unknown") return "warn";
  return undefined;
}

export const stepTone: Record<string, Tone> = { Pending: "plain", Running: "warn", Done: "ok", Failed: "bad" };

/** How much of a step is done, from 0 to 1; nothing when nobody knows. */
export function share(step: Step): number | undefined {
  if (step.state === "Done") return 1;
  if (typeof step.progress === "number") return step.progress;
  const { done, total } = step.progress ?? {};
  return done === undefined || !total ? undefined : Math.min(1, done / total);
}

/** Operations of any sort in one form. Pure. */

import type { KindRef, Step, Thing } from "../api/kinds.svelte";
import { word } from "../kinds/command";

export type State = "Running" | "Done" | "Failed" | "Cancelled" | "Waiting";

export interface Operation {
  id: string;
  /** What it is: `Model`, `Batch`, `Evaluation`. */
  sort: string;
  name: string;
  state: State;
  /** What it does now, or why it failed. */
  message: string;
  steps: Step[];
  /** How much is done, from 0 to 1, where that is known. */
  share?: number;
  started?: string;
  finished?: string;
  /** Its page. */
  page?: string;
  /** The object, for its events. */
  thing?: Thing;
  kind?: KindRef;
  retry?: Act;
  cancel?: Act;
}

/** Something that can be done, as a request and as a command. */
export interface Act {
  label: string;
  method: string;
  path: string;
  body?: unknown;
  type?: string;
  command: string;
  /** What is said when it cannot be undone. */
  warning?: string;
}

const unit = (steps: readonly Step[]): number | undefined => {
  const running = steps.find((step) => step.state === "Running");
  if (typeof running?.progress === "object" && running.progress.total) return running.progress.done / running.progress.total;
  return undefined;
};

export function ofThing(thing: Thing, kind: KindRef, retries: boolean, now = () => new Date().toISOString()): Operation {
  const steps = thing.status?.steps ?? [];
  const failed = steps.find((step) => step.state === "Failed");
  const running = steps.find((step) => step.state === "Running");
  const state: State = running ? "Running" : failed ? "Failed" : steps.every((step) => step.state === "Done") ? "Done" : "Waiting";
  const { name, namespace } = thing.metadata;
  const space = kind.namespaced && namespace ? `/namespaces/${encodeURIComponent(namespace)}` : "";
  const path = `/k8s/apis/${kind.group}/${kind.version}${space}/${kind.plural}/${encodeURIComponent(name)}`;
  const where = kind.namespaced && namespace ? ` -n ${word(namespace)}` : "";
  const stamp = now();
  const share = unit(steps);
  const started = steps.map((step) => step.started).filter(Boolean).sort()[0] ?? thing.metadata.creationTimestamp;
  const finished = state === "Done" || state === "Failed" ? steps.map((step) => step.finished).filter(Boolean).sort().at(-1) : undefined;
  const condition = thing.status?.conditions?.find((item) => item.type === "Ready");
  return {
    id: thing.metadata.uid ?? `${kind.plural}/${name}`,
    sort: kind.kind,
    name,
    state,
    message: running?.message || failed?.message || (state === "Running" ? (running?.name ?? "") : (condition?.message ?? "")),
    steps,
    ...(share === undefined ? {} : { share }),
    ...(started ? { started } : {}),
    ...(finished ? { finished } : {}),
    page: `/kinds/${encodeURIComponent(kind.group)}/${kind.plural}/${encodeURIComponent(name)}`,
    thing,
    kind,
    ...(retries && state !== "Running" && state !== "Done"
      ? {
          retry: {
            label: "Try again",
            method: "PATCH",
            path,
            body: { metadata: { annotations: { "stead.dev/retry": stamp } } },
            type: "application/merge-patch+json",
            command: `kubectl annotate ${kind.plural}.${kind.group} ${word(name)}${where} --overwrite stead.dev/retry=${stamp}`,
          },
        }
      : {}),
    ...(state === "Running" || state === "Waiting"
      ? {
          cancel: {
            label: "Cancel",
            method: "DELETE",
            path,
            command: `stead delete ${kind.plural} ${word(name)}${where}`,
            warning: `${kind.kind} ${name} is deleted, with what it has fetched so far.`,
          },
        }
      : {}),
  };
}

export interface Batch {
  id: string;
  status: string;
  endpoint?: string;
  created_at?: number;
  completed_at?: number | null;
  failed_at?: number | null;
  cancelled_at?: number | null;
  expired_at?: number | null;
  request_counts?: { total: number; completed: number; failed: number };
  steps?: Step[];
  errors?: { data?: { message?: string }[] } | null;
}

const BATCH: Record<string, State> = { completed: "Done", failed: "Failed", expired: "Failed", cancelled: "Cancelled" };
const at = (seconds: number | null | undefined): string | undefined => (seconds ? new Date(seconds * 1000).toISOString() : undefined);

export function ofBatch(batch: Batch): Operation {
  const state = BATCH[batch.status] ?? "Running";
  const counts = batch.request_counts;
  const started = at(batch.created_at);
  const finished = at(batch.completed_at ?? batch.failed_at ?? batch.cancelled_at ?? batch.expired_at);
  const path = `/v1/batches/${encodeURIComponent(batch.id)}`;
  return {
    id: batch.id,
    sort: "Batch",
    name: batch.id,
    state,
    message: batch.errors?.data?.[0]?.message ?? (counts ? `${counts.completed} of ${counts.total} answered${counts.failed ? `, ${counts.failed} failed` : ""}, ${batch.endpoint ?? ""}` : ""),
    steps: batch.steps ?? [],
    ...(counts && counts.total > 0 ? { share: (counts.completed + counts.failed) / counts.total } : {}),
    ...(started ? { started } : {}),
    ...(finished ? { finished } : {}),
    ...(state === "Running" && batch.status !== "cancelling"
      ? { cancel: { label: "Cancel", method: "POST", path: `${path}/cancel`, command: `stead api POST ${path}/cancel`, warning: "What was answered stays." } }
      : {}),
  };
}

export interface Evaluation {
  id: string;
  name: string;
  status: string;
  experimentId?: string;
  datasetName?: string;
  model?: string;
  progress?: { total: number; done: number; failed: number };
  message?: string;
  errors?: string[];
  createdAt?: string;
  finishedAt?: string;
}

const EVALUATION: Record<string, State> = { running: "Running", completed: "Done", failed: "Failed", cancelled: "Cancelled" };

export function ofEvaluation(run: Evaluation, project: string): Operation {
  const state = EVALUATION[run.status] ?? "Waiting";
  const progress = run.progress;
  const path = `/api/evaluations/${encodeURIComponent(run.id)}`;
  const query = `?project=${encodeURIComponent(project)}`;
  const act = (verb: string, label: string): Act => ({ label, method: "POST", path: `${path}/${verb}${query}`, command: `stead api POST '${path}/${verb}${query}'` });
  const unfinished = state === "Failed" || state === "Cancelled" || (progress !== undefined && state === "Done" && progress.failed > 0);
  return {
    id: run.id,
    sort: "Evaluation",
    name: run.name,
    state,
    message: run.message ?? (progress ? `${progress.done} of ${progress.total}${progress.failed ? `, ${progress.failed} failed` : ""}: ${run.datasetName ?? ""} with ${run.model ?? ""}` : ""),
    steps: [],
    ...(progress && progress.total > 0 ? { share: progress.done / progress.total } : {}),
    ...(run.createdAt ? { started: run.createdAt } : {}),
    ...(run.finishedAt ? { finished: run.finishedAt } : {}),
    page: `/evaluations?tab=runs&run=${encodeURIComponent(run.id)}`,
    ...(unfinished ? { retry: act("resume", "Try again") } : {}),
    ...(state === "Running" ? { cancel: { ...act("cancel", "Cancel"), warning: "What was answered stays." } } : {}),
  };
}

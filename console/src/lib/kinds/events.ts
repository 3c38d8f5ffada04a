/** What controllers told about objects. Pure. */

import type { Thing } from "../api/kinds.svelte";

export interface ThingEvent extends Thing {
  involvedObject?: { kind?: string; name?: string; uid?: string; apiVersion?: string };
  type?: string;
  reason?: string;
  message?: string;
  count?: number;
  lastTimestamp?: string;
  eventTime?: string;
}

const when = (event: ThingEvent): string => event.lastTimestamp ?? event.eventTime ?? event.metadata.creationTimestamp ?? "";

/** Those about an object, the newest first. */
export function eventsOf(events: readonly ThingEvent[], thing: Thing): ThingEvent[] {
  return events
    .filter(({ involvedObject: about }) =>
      about?.uid ? about.uid === thing.metadata.uid : about?.kind === thing.kind && about.name === thing.metadata.name,
    )
    .sort((a, b) => (when(a) > when(b) ? -1 : 1));
}

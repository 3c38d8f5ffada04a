/** Writing an object that others write, too: its controller tells its status all the time, and people edit it. */

import { read, replace, type KindRef, type Thing } from "../api/kinds.svelte";
import { Problem } from "../api/problem";
import { editable, yaml } from "./yaml";

/** How often a write is tried that meets another one. */
const TRIES = 5;

const said = (thing: Thing): string => yaml(editable({ ...thing }));

/**
 * Replaces an object, if all that people write in it still is as it was when this was looked at (`seen`). What a
 * controller told of it in the meantime is no hindrance.
 */
export async function store(kind: KindRef, project: string | undefined, seen: Thing, wanted: Thing): Promise<Thing> {
  for (let left = TRIES; ; left--) {
    const now = await read<Thing>(kind, project, seen.metadata.name);
    if (now.metadata.uid !== seen.metadata.uid || said(now) !== said(seen)) {
      throw new Problem({
        what: "Somebody else was faster",
        why: `${seen.metadata.name} was changed since you looked at it`,
        hint: "look at what is there now, and change that",
        reason: "conflict",
        status: 409,
      });
    }
    const { managedFields: _fields, ...meta } = wanted.metadata;
    const body = { ...wanted, metadata: { ...meta, uid: now.metadata.uid, resourceVersion: now.metadata.resourceVersion } } as Thing;
    try {
      return await replace<Thing>(kind, project, body);
    } catch (error) {
      if (left <= 1 || !(error instanceof Problem && error.status === 409)) throw error;
    }
  }
}

/** The commands that do what this page's buttons do. Pure. */

import type { KindRef } from "../api/kinds.svelte";
import { editable, yaml } from "./yaml";

/** A word for a shell: in quotes where it needs them. */
export function word(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

const space = (kind: KindRef, project: string | undefined) => (kind.namespaced && project ? ` -n ${word(project)}` : "");

export const getCommand = (kind: KindRef, argument: string, project: string | undefined, name?: string): string =>
  `stead get ${argument}${name === undefined ? "" : ` ${word(name)} -o yaml`}${space(kind, project)}`;

export const describeCommand = (kind: KindRef, argument: string, project: string | undefined, name: string): string =>
  `stead describe ${argument} ${word(name)}${space(kind, project)}`;

export const deleteCommand = (kind: KindRef, argument: string, project: string | undefined, names: readonly string[]): string =>
  `stead delete ${argument} ${names.map(word).join(" ")}${space(kind, project)}`;

/** Makes an object be what it is here. */
export const applyCommand = (object: Record<string, unknown> | string, project?: string): string => {
  const text = typeof object === "string" ? object.trimEnd() : yaml(editable(object)).trimEnd();
  // A line that ended the text early would have what follows run as commands.
  let end = "EOF";
  while (text.split("\n").includes(end)) end += "_";
  return `stead apply -f -${project ? ` -n ${word(project)}` : ""} <<'${end}'\n${text}\n${end}`;
};

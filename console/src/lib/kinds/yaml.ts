/**
 * Objects as YAML, as people write it. Only the writing half: what is written by people is read by the server, which
 * takes YAML as it is. Pure.
 */

/** Words that YAML 1.1 or 1.2 reads as something else than text. */
const WORDS = /^(?:null|Null|NULL|~|true|True|TRUE|false|False|FALSE|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF|y|Y|n|N|\.nan|\.NaN|\.NAN|[-+]?\.inf|<<|=)$/;
/** Texts that may stand as they are: they begin with a letter and hold nothing that means something. */
const PLAIN = /^[\p{L}_/][\p{L}\p{N}_ ./@%+()'"*,;=<>?!$&~-]*$/u;
/** Letters that a block of lines cannot show as they are. */
// eslint-disable-next-line no-control-regex
const UNSHOWABLE = /[^\t\n\x20-\x7e\u00a0-\ud7ff\ue000-\ufefe\uff00-\ufffd\u{10000}-\u{10ffff}]|[\u2028\u2029]/u;

/** A value as YAML, with a line break at its end. */
export function yaml(value: unknown): string {
  return `${block(value, 0).trimStart()}\n`;
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function block(value: unknown, depth: number): string {
  if (Array.isArray(value)) return value.length === 0 ? " []" : list(value, depth);
  if (isMap(value)) {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined);
    return entries.length === 0 ? " {}" : map(entries, depth);
  }
  return ` ${scalar(value, depth)}`;
}

function map(entries: [string, unknown][], depth: number): string {
  const indent = "  ".repeat(depth);
  // A list stands as deep as the key that it belongs to, as kubectl writes it.
  return entries.map(([key, item]) => `\n${indent}${text(key)}:${block(item, Array.isArray(item) ? depth : depth + 1)}`).join("");
}

function list(items: unknown[], depth: number): string {
  const indent = "  ".repeat(depth);
  return items
    .map((item) => {
      const inner = block(item ?? null, depth + 1);
      // The first line of what is inside follows the dash.
      return `\n${indent}-${inner.startsWith("\n") ? ` ${inner.trimStart()}` : inner}`;
    })
    .join("");
}

function scalar(value: unknown, depth: number): string {
  if (typeof value !== "string") return value === undefined ? "null" : JSON.stringify(value);
  if (!value.includes("\n") || UNSHOWABLE.test(value)) return text(value);
  const lines = value.replace(/\n+$/, "").split("\n");
  const breaks = value.length - lines.join("\n").length;
  // What begins with a space or ends in one would not be read as it was.
  if (lines[0] === "" || /^[ \t]/.test(lines[0] ?? "") || lines.some((line) => /\s$/.test(line))) return JSON.stringify(value);
  const keep = breaks === 0 ? "-" : breaks === 1 ? "" : "+";
  const indent = "  ".repeat(depth);
  const more = breaks > 1 ? "\n".repeat(breaks - 1) : "";
  return `|${keep}${lines.map((line) => `\n${line === "" ? "" : indent + line}`).join("")}${more}`;
}

/** A text on one line, in quotes where it would be read as something else. */
function text(value: string): string {
  const plain = PLAIN.test(value) && !WORDS.test(value) && !/\s$/.test(value) && !value.includes("  ");
  if (plain) return value;
  // Times and addresses hold colons, which mean something only before a space.
  if (/^[A-Za-z][\w./:@%+-]*[\w/]$/.test(value) && !WORDS.test(value)) return value;
  return JSON.stringify(value);
}

/** In which order people read an object's fields. */
const ORDER = ["apiVersion", "kind", "metadata", "type", "spec", "data", "stringData"];
const META_ORDER = ["name", "namespace", "labels", "annotations"];
/** What the server writes into metadata, which nobody edits. */
const OWN = ["managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink"];

function ordered(value: Record<string, unknown>, first: string[]): Record<string, unknown> {
  const keys = Object.keys(value);
  const sorted = [...first.filter((key) => keys.includes(key)), ...keys.filter((key) => !first.includes(key))];
  return Object.fromEntries(sorted.map((key) => [key, value[key]]));
}

/** An object as it is edited: without what the server says of it. */
export function editable(object: Record<string, unknown>): Record<string, unknown> {
  const { status: _status, ...rest } = object;
  const meta = Object.fromEntries(Object.entries((object["metadata"] as Record<string, unknown>) ?? {}).filter(([key]) => !OWN.includes(key)));
  return ordered({ ...rest, metadata: ordered(meta, META_ORDER) }, ORDER);
}

/** An object as a whole, without the list of who manages which field. */
export function shown(object: Record<string, unknown>): Record<string, unknown> {
  const { managedFields: _managed, ...meta } = (object["metadata"] as Record<string, unknown>) ?? {};
  return ordered({ ...object, metadata: ordered(meta, META_ORDER) }, [...ORDER, "status"]);
}

/** A text with the version of the object that it changes, which the server asks of an update; one that names a version stays. */
export function ofVersion(text: string, version: string): string {
  if (/resourceVersion["']?\s*:/.test(text)) return text;
  const field = `resourceVersion: "${version}"`;
  return text
    .replace(/^(["']?metadata["']?\s*:\s*\{)/m, `$1"resourceVersion": "${version}", `)
    .replace(/^metadata:[ \t]*\r?\n([ \t]+)/m, `metadata:\n$1${field}\n$1`);
}

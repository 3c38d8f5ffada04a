/**
 * Where the person is: paths and queries by the History API. What a page shows is in its address, so that a reload, a
 * bookmark and the back button mean what they seem to.
 */

import { untrack } from "svelte";

export interface Match {
  params: Record<string, string>;
}

/** Holds a path against a pattern: `/chat/:id?` has an optional last part, `/kinds/*` any rest (as `rest`). */
export function match(pattern: string, path: string): Match | undefined {
  const wanted = pattern.split("/").filter(Boolean);
  const given = path.split("/").filter(Boolean);
  const params: Record<string, string> = {};
  for (const [index, part] of wanted.entries()) {
    const value = given[index];
    if (part === "*") {
      params["rest"] = given.slice(index).map(decode).join("/");
      return { params };
    }
    if (part.startsWith(":")) {
      const name = part.replace(/^:|\?$/g, "");
      if (value === undefined && !part.endsWith("?")) return undefined;
      if (value !== undefined) params[name] = decode(value);
    } else if (part !== value) {
      return undefined;
    }
  }
  return given.length > wanted.length ? undefined : { params };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Sets, replaces and (with `null`) removes parameters of a query; the order of the others stays. */
export function patchQuery(query: URLSearchParams, changes: Record<string, string | null | undefined>): URLSearchParams {
  const next = new URLSearchParams(query);
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) continue;
    if (value === null || value === "") next.delete(name);
    else next.set(name, value);
  }
  return next;
}

/** Parameters that stay when another page is gone to. */
const STICKY = ["project"];

class Router {
  #url = $state.raw(typeof location === "undefined" ? new URL("http://localhost/") : new URL(location.href));
  /** The path, without query. */
  path = $derived(this.#url.pathname);
  /** The query. */
  query = $derived(this.#url.searchParams);
  /** What follows the number sign. */
  hash = $derived(this.#url.hash.slice(1));

  start(): () => void {
    const moved = () => (this.#url = new URL(location.href));
    addEventListener("popstate", moved);
    return () => removeEventListener("popstate", moved);
  }

  /** An address with what stays. */
  href(to: string): string {
    const url = new URL(to, location.origin);
    for (const name of STICKY) {
      const value = this.query.get(name);
      if (value && !url.searchParams.has(name)) url.searchParams.set(name, value);
    }
    return url.pathname + url.search + url.hash;
  }

  /** Goes to an address of this application. */
  go(to: string, how: { replace?: boolean } = {}): void {
    const href = untrack(() => this.href(to));
    if (how.replace) history.replaceState(null, "", href);
    else if (href !== location.pathname + location.search + location.hash) history.pushState(null, "", href);
    this.#url = new URL(location.href);
  }

  /** Changes parameters of the query where one is. */
  set(changes: Record<string, string | null | undefined>, how: { replace?: boolean } = { replace: true }): void {
    // Who changes the address in an effect depends on nothing by it.
    const query = patchQuery(untrack(() => this.query), changes).toString();
    const href = location.pathname + (query ? `?${query}` : "") + location.hash;
    if (href === location.pathname + location.search + location.hash) return;
    if (how.replace) history.replaceState(null, "", href);
    else history.pushState(null, "", href);
    this.#url = new URL(location.href);
  }
}

export const router = new Router();

/** For a link inside the application: a plain click goes there without a reload. */
export function link(node: HTMLAnchorElement): { destroy(): void } {
  const clicked = (event: MouseEvent) => {
    const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (!plain || event.defaultPrevented || node.target === "_blank" || node.origin !== location.origin) return;
    event.preventDefault();
    router.go(node.pathname + node.search + node.hash);
  };
  node.addEventListener("click", clicked);
  return { destroy: () => node.removeEventListener("click", clicked) };
}

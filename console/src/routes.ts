/**
 * Every page: its address, how it is reached, and the chunk that it is loaded from. A page that is not built is not
 * here, and so in no navigation.
 */

import type { Component } from "svelte";
import { match } from "$lib/router.svelte";

export type Section = "Work" | "Observe" | "Gateway" | "Manage";

/** What a page is given. */
export interface PageProps {
  params: Record<string, string>;
}

export interface Route {
  id: string;
  /** `/chat/:id?`; see `match`. */
  path: string;
  title: string;
  // A page that has no parameters takes none.
  load: () => Promise<{ default: Component<any> }>;
  /** Where the navigation has it; absent when it doesn't. */
  nav?: { section: Section; icon: Component<{ class?: string }>; order: number };
  /** The key that goes there after `g`. */
  go?: string;
  /** For administrators only. */
  admin?: true;
  /** Shown to who is not signed in, and without the shell. */
  open?: true;
}

/** A page's own folder exports its route, so that adding a page is one folder and nothing else. */
const found = import.meta.glob<{ route: Route }>("./pages/*/route.ts", { eager: true });

export const routes: readonly Route[] = Object.values(found)
  .map((module) => module.route)
  .sort((a, b) => (a.nav?.order ?? 1000) - (b.nav?.order ?? 1000));

/** The page of a path. */
export function find(path: string): { route: Route; params: Record<string, string> } | undefined {
  // Longer patterns are more particular.
  const sorted = [...routes].sort((a, b) => b.path.length - a.path.length);
  for (const route of sorted) {
    const found = match(route.path, path);
    if (found) return { route, params: found.params };
  }
  return undefined;
}

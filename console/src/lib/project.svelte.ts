/** The project (namespace) that is worked in; it stands in the address unless it is the person's first. */

import { session } from "./api/session.svelte";
import { router } from "./router.svelte";

const DEFAULT = "default";

class Projects {
  /** The project where nothing else is said. */
  home = $derived.by(() => {
    const me = session.me;
    if (!me || me.admin || me.projects.includes(DEFAULT)) return DEFAULT;
    return me.projects[0] ?? DEFAULT;
  });
  /** The present one. */
  name = $derived(router.query.get("project") ?? this.home);

  choose(name: string): void {
    router.set({ project: name === this.home ? null : name }, { replace: false });
  }
}

export const project = new Projects();

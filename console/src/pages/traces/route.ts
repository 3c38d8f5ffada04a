import ListTree from "@lucide/svelte/icons/list-tree";
import type { Route } from "../../routes";

export const route: Route = {
  id: "traces",
  path: "/traces/:id?",
  title: "Traces",
  load: () => import("./Traces.svelte"),
  nav: { section: "Observe", icon: ListTree, order: 40 },
  go: "t",
};

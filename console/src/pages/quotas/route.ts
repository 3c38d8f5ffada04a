import Icon from "@lucide/svelte/icons/gauge";
import type { Route } from "../../routes";

export const route: Route = {
  id: "quotas",
  path: "/quotas/:name?",
  title: "Quotas",
  load: () => import("./Quotas.svelte"),
  nav: { section: "Gateway", icon: Icon, order: 440 },
  go: "q",
};

import Icon from "@lucide/svelte/icons/route";
import type { Route } from "../../routes";

export const route: Route = {
  id: "routes",
  path: "/routes/:name?",
  title: "Routes",
  load: () => import("./Routes.svelte"),
  nav: { section: "Gateway", icon: Icon, order: 420 },
  go: "o",
};

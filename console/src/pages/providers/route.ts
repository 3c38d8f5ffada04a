import Icon from "@lucide/svelte/icons/server";
import type { Route } from "../../routes";

export const route: Route = {
  id: "providers",
  path: "/providers/:name?",
  title: "Providers",
  load: () => import("./Providers.svelte"),
  nav: { section: "Gateway", icon: Icon, order: 410 },
  go: "v",
};

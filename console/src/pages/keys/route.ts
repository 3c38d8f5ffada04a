import Icon from "@lucide/svelte/icons/key-round";
import type { Route } from "../../routes";

export const route: Route = {
  id: "keys",
  path: "/keys/:name?",
  title: "Keys",
  load: () => import("./ApiKeys.svelte"),
  nav: { section: "Gateway", icon: Icon, order: 430 },
  go: "k",
};

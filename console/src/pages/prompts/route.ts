import Icon from "@lucide/svelte/icons/scroll-text";
import type { Route } from "../../routes";

export const route: Route = {
  id: "prompts",
  path: "/prompts/:name?",
  title: "Prompts",
  load: () => import("./Prompts.svelte"),
  nav: { section: "Gateway", icon: Icon, order: 460 },
  go: "m",
};

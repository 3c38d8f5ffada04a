import Icon from "@lucide/svelte/icons/shield";
import type { Route } from "../../routes";

export const route: Route = {
  id: "guardrails",
  path: "/guardrails/:name?",
  title: "Guardrails",
  load: () => import("./Guardrails.svelte"),
  nav: { section: "Gateway", icon: Icon, order: 450 },
  go: "d",
};

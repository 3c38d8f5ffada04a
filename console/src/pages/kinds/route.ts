import Boxes from "@lucide/svelte/icons/boxes";
import type { Route } from "../../routes";

export const route: Route = {
  id: "kinds",
  path: "/kinds/:group?/:plural?/:name?",
  title: "Resources",
  load: () => import("./Kinds.svelte"),
  nav: { section: "Manage", icon: Boxes, order: 910 },
  go: "r",
};

import Braces from "@lucide/svelte/icons/braces";
import type { Route } from "../../routes";

export const route: Route = {
  id: "api",
  path: "/api-reference",
  title: "API",
  load: () => import("./ApiPage.svelte"),
  nav: { section: "Manage", icon: Braces, order: 940 },
  go: "i",
};

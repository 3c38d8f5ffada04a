import House from "@lucide/svelte/icons/house";
import type { Route } from "../../routes";

export const route: Route = {
  id: "welcome",
  path: "/",
  title: "Home",
  load: () => import("./Welcome.svelte"),
  nav: { section: "Work", icon: House, order: 10 },
  go: "h",
};

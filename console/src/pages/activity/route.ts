import ActivityIcon from "@lucide/svelte/icons/activity";
import type { Route } from "../../routes";

export const route: Route = {
  id: "activity",
  path: "/activity",
  title: "Activity",
  load: () => import("./ActivityPage.svelte"),
  nav: { section: "Manage", icon: ActivityIcon, order: 900 },
  go: "a",
};

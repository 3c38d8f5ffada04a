import SettingsIcon from "@lucide/svelte/icons/settings";
import type { Route } from "../../routes";

export const route: Route = {
  id: "settings",
  path: "/settings",
  title: "Settings",
  load: () => import("./SettingsPage.svelte"),
  nav: { section: "Manage", icon: SettingsIcon, order: 930 },
  go: "s",
  admin: true,
};

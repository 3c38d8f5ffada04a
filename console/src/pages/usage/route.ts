import Wallet from "@lucide/svelte/icons/wallet";
import type { Route } from "../../routes";

export const route: Route = {
  id: "usage",
  path: "/usage",
  title: "Usage and cost",
  load: () => import("./UsagePage.svelte"),
  nav: { section: "Observe", icon: Wallet, order: 320 },
  go: "u",
};

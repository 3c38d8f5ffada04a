import type { Route } from "../../routes";

export const route: Route = {
  id: "shared",
  path: "/shared/:id",
  title: "Shared chat",
  load: () => import("./Shared.svelte"),
  open: true,
};

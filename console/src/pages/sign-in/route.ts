import type { Route } from "../../routes";

export const route: Route = {
  id: "sign-in",
  path: "/sign-in",
  title: "Sign in",
  load: () => import("./SignIn.svelte"),
  open: true,
};

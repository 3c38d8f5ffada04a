import FlaskConical from "@lucide/svelte/icons/flask-conical";
import type { Route } from "../../routes";

export const route: Route = {
  id: "playground",
  path: "/playground",
  title: "Playground",
  load: () => import("./Playground.svelte"),
  nav: { section: "Work", icon: FlaskConical, order: 30 },
  go: "p",
};

import FlaskConical from "@lucide/svelte/icons/flask-conical";
import type { Route } from "../../routes";

export const route: Route = {
  id: "evaluations",
  path: "/evaluations/:section?/:id?",
  title: "Evaluations",
  load: () => import("./Evaluations.svelte"),
  nav: { section: "Observe", icon: FlaskConical, order: 310 },
  go: "e",
};

import MessagesSquare from "@lucide/svelte/icons/messages-square";
import type { Route } from "../../routes";

export const route: Route = {
  id: "threads",
  path: "/threads/:id?",
  title: "Threads",
  load: () => import("./Threads.svelte"),
  nav: { section: "Observe", icon: MessagesSquare, order: 50 },
  go: "n",
};

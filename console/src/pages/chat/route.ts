import MessageCircle from "@lucide/svelte/icons/message-circle";
import type { Route } from "../../routes";

export const route: Route = {
  id: "chat",
  path: "/chat/:id?",
  title: "Chat",
  load: () => import("./Chat.svelte"),
  nav: { section: "Work", icon: MessageCircle, order: 20 },
  go: "c",
};

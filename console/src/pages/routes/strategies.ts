/** How one of the targets of equal priority is chosen, in a sentence each. */
import type { Strategy } from "$lib/gateway/types";

export const STRATEGIES: Record<Strategy, string> = {
  Weighted: "By chance, in the shares below.",
  Priority: "The first that works, in the order of the list.",
  LeastBusy: "The one with the fewest requests under way.",
  LowestLatency: "The one that begins to answer soonest.",
  LowestCost: "The cheapest one for this request.",
  PrefixAffinity: "The one that read this prompt's beginning before.",
  Session: "Always the same one for a session.",
};

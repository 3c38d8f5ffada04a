/** Every page, as an address of a server that has a route `chat`. */
export const PAGES = ["/", "/chat", "/playground", "/traces", "/threads", "/evaluations", "/usage", "/providers", "/routes", "/keys", "/quotas", "/guardrails", "/prompts", "/kinds", "/kinds/stead.dev/modelroutes/chat", "/activity", "/settings", "/api-reference"] as const;

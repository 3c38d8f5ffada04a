/** The kinds of the gateway, as the server defines them. */

import type { Thing } from "../api/kinds.svelte";
import type { ApiKeySpec, GuardrailSpec, ModelProviderSpec, ModelProviderStatus, ModelRouteSpec, ModelRouteStatus, QuotaSpec, QuotaStatus } from "../api/generated/kinds";

export type Provider = Thing<ModelProviderSpec, ModelProviderStatus>;
export type ModelRoute = Thing<ModelRouteSpec, ModelRouteStatus>;
export type ApiKey = Thing<ApiKeySpec>;
export type Quota = Thing<QuotaSpec, QuotaStatus>;
/** Another route that is tried; the schema leaves open which of the two forms it has. */
export type Fallback = string | { route: string; on?: string[] };
export type Strategy = NonNullable<ModelRouteSpec["strategy"]>;
export type Guardrail = Thing<GuardrailSpec>;

/** A model's route or address that requests can name: routes first, then each provider's own models. */
export function callable(routes: readonly ModelRoute[], providers: readonly Provider[]): string[] {
  const own = providers.flatMap((provider) => (provider.status?.models ?? provider.spec?.models ?? []).map((model) => `${provider.metadata.name}/${model}`));
  return [...routes.map((route) => route.metadata.name), ...own];
}

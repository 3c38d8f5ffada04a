//! Why fields have no equivalent.

/// For what nobody here has heard of.
pub(super) const UNKNOWN: &str = "nothing here corresponds to it";

const BUILT_IN: &str =
    "requests, usage and audit are kept by Stead itself: stead trace list, stead usage, /metrics";
const NO_DATABASE: &str = "there is no database to set up: state, records and events lie in the data folder";
const NO_REDIS: &str = "there is no Redis: gateway processes share limits through the control process";
const CLIENTS: &str = "parameters come from clients; a target sets none of its own";
const SIGN_IN: &str = "users sign in to Stead's own console: stead user add";

/// Of the whole file.
pub(super) const ROOT: [(&str, &str); 10] = [
    ("callback_settings", BUILT_IN),
    ("guardrails", "write a Guardrail: the rules are not the same"),
    ("mcp_servers", "Stead serves no MCP servers"),
    ("mcp_tools", "Stead serves no MCP servers"),
    (
        "credential_list",
        "write the Secrets, and name them in the providers' spec.credential",
    ),
    ("finetune_settings", "Stead offers no fine-tuning API"),
    ("files_settings", "files are kept by Stead itself"),
    ("vector_store_registry", "Stead offers no vector stores"),
    ("search_tools", "Stead offers no search tools"),
    ("prompts", "write prompt templates: the form is not the same"),
];

/// Of an entry of `model_list`.
pub(super) const ENTRY: [(&str, &str); 1] = [("guardrails", "write a Guardrail that names the route")];

/// Of `litellm_params`.
pub(super) const PARAMS: [(&str, &str); 30] = [
    ("temperature", CLIENTS),
    ("top_p", CLIENTS),
    ("max_tokens", CLIENTS),
    ("seed", CLIENTS),
    ("stop", CLIENTS),
    ("thinking", CLIENTS),
    ("reasoning_effort", CLIENTS),
    ("response_format", CLIENTS),
    ("tools", CLIENTS),
    ("extra_body", CLIENTS),
    (
        "drop_params",
        "what a provider cannot do is told in x-stead-warnings, or refused where it matters",
    ),
    (
        "additional_drop_params",
        "what a provider cannot do is told in x-stead-warnings, or refused where it matters",
    ),
    ("extra_headers", "providers get no headers of one's own"),
    ("headers", "providers get no headers of one's own"),
    ("organization", "the organisation follows from the API key"),
    ("tags", "write conditions into the route's targets"),
    (
        "max_parallel_requests",
        "write a Quota with spec.concurrency for the route",
    ),
    ("max_budget", "write a Quota with spendUsd for the route"),
    ("budget_duration", "write a Quota with spendUsd for the route"),
    ("mock_response", "Stead makes up no answers"),
    (
        "litellm_credential_name",
        "name the Secret in the provider's spec.credential",
    ),
    (
        "use_in_pass_through",
        "there is no pass-through by provider's address",
    ),
    (
        "aws_role_name",
        "roles are not assumed: put keys of that role into the Secret",
    ),
    (
        "aws_session_name",
        "roles are not assumed: put keys of that role into the Secret",
    ),
    (
        "aws_profile_name",
        "profiles are not read: put the keys into the Secret",
    ),
    (
        "aws_web_identity_token",
        "roles are not assumed: put keys of that role into the Secret",
    ),
    ("azure_ad_token", "Azure is signed in to with an API key"),
    ("tenant_id", "Azure is signed in to with an API key"),
    ("client_id", "Azure is signed in to with an API key"),
    ("client_secret", "Azure is signed in to with an API key"),
];

/// Of `model_info`.
pub(super) const INFO: [(&str, &str); 8] = [
    ("id", "a target is named by its provider and model"),
    (
        "mode",
        "what a model does follows from the address that clients call",
    ),
    (
        "base_model",
        "prices are found by the model's own name, or given in the provider's spec.prices",
    ),
    ("max_tokens", "limits of known models are built in"),
    ("max_input_tokens", "limits of known models are built in"),
    ("max_output_tokens", "limits of known models are built in"),
    ("access_groups", "name routes and models in the keys' spec"),
    ("supported_environments", "a server has one environment"),
];

/// Of `router_settings`.
pub(super) const ROUTER: [(&str, &str); 22] = [
    ("redis_host", NO_REDIS),
    ("redis_port", NO_REDIS),
    ("redis_password", NO_REDIS),
    ("redis_url", NO_REDIS),
    ("redis_db", NO_REDIS),
    ("cache_kwargs", NO_REDIS),
    ("cache_responses", "responses are not cached by the router"),
    (
        "enable_pre_call_checks",
        "a target whose context is too short is left out by itself where its limits are known",
    ),
    (
        "enable_pre_call_check",
        "a target whose context is too short is left out by itself where its limits are known",
    ),
    (
        "enable_tag_filtering",
        "write conditions into the route's targets",
    ),
    (
        "tag_filtering_match_any",
        "write conditions into the route's targets",
    ),
    (
        "routing_strategy_args",
        "strategies have no arguments of their own",
    ),
    (
        "retry_policy",
        "tries are counted over all sorts of failures: spec.retry.attempts",
    ),
    (
        "model_group_retry_policy",
        "tries are counted over all sorts of failures: spec.retry.attempts",
    ),
    ("allowed_fails_policy", "failures are counted over all sorts"),
    (
        "max_fallbacks",
        "a route has at most ten fallbacks, and none of theirs is followed",
    ),
    (
        "default_max_parallel_requests",
        "write a Quota with spec.concurrency",
    ),
    ("default_litellm_params", CLIENTS),
    ("debug_level", "stead serve --log debug"),
    ("set_verbose", "stead serve --log debug"),
    (
        "provider_budget_config",
        "write Quotas with spendUsd for the routes",
    ),
    (
        "optional_pre_call_checks",
        "strategies say all of it: PrefixAffinity, Session",
    ),
];

/// Of `litellm_settings`.
pub(super) const LITELLM: [(&str, &str); 32] = [
    ("success_callback", BUILT_IN),
    ("failure_callback", BUILT_IN),
    ("callbacks", BUILT_IN),
    ("service_callbacks", BUILT_IN),
    ("audit_log_callbacks", BUILT_IN),
    ("langfuse_default_tags", BUILT_IN),
    (
        "turn_off_message_logging",
        "set the server's capture to none: --set capture=none",
    ),
    (
        "redact_user_api_key_info",
        "records name keys, and never hold them",
    ),
    (
        "drop_params",
        "what a provider cannot do is told in x-stead-warnings, or refused where it matters",
    ),
    (
        "modify_params",
        "requests are translated without changing what they say",
    ),
    ("enable_preview_features", UNKNOWN),
    (
        "force_ipv4",
        "both families are tried, and the first that answers counts",
    ),
    ("json_logs", "stead serve --access-log json"),
    ("set_verbose", "stead serve --log debug"),
    (
        "cache",
        "write the cache into the route or project; Stead's has its own settings",
    ),
    ("cache_params", "Stead's cache needs no Redis, S3 or Qdrant"),
    ("mcp_aliases", "Stead serves no MCP servers"),
    ("max_budget", "write a Quota with spendUsd for the project"),
    ("budget_duration", "write a Quota with spendUsd for the project"),
    (
        "max_internal_user_budget",
        "write a Quota with spendUsd for the users",
    ),
    (
        "internal_user_budget_duration",
        "write a Quota with spendUsd for the users",
    ),
    ("max_end_user_budget", "write a Quota with spendUsd for the users"),
    ("default_internal_user_params", SIGN_IN),
    ("default_team_settings", BUILT_IN),
    (
        "default_key_generate_params",
        "say it for each key: stead key create",
    ),
    (
        "upperbound_key_generate_params",
        "say it for each key: stead key create",
    ),
    ("key_generation_settings", "users make keys in their own projects"),
    (
        "ssl_verify",
        "certificates are always checked: give the company's CA with SSL_CERT_FILE",
    ),
    (
        "ssl_certificate",
        "clients are known by keys, not by certificates",
    ),
    ("disable_end_user_cost_tracking", BUILT_IN),
    (
        "enable_json_schema_validation",
        "write a Guardrail with a JSON schema",
    ),
    (
        "custom_provider_map",
        "providers are those of Stead: run the code as a server of its own",
    ),
];

/// Of `general_settings`.
pub(super) const GENERAL: [(&str, &str); 38] = [
    ("database_url", NO_DATABASE),
    ("database_connection_pool_limit", NO_DATABASE),
    ("database_connection_timeout", NO_DATABASE),
    ("allow_requests_on_db_unavailable", "no request waits for a store"),
    ("store_model_in_db", "resources are stored by themselves"),
    ("supported_db_objects", "resources are stored by themselves"),
    (
        "store_prompts_in_spend_logs",
        "bodies are kept as the setting capture says",
    ),
    ("disable_spend_logs", "usage is always exact"),
    ("disable_spend_updates", "usage is always exact"),
    ("disable_error_logs", "errors are kept like other requests"),
    (
        "maximum_spend_logs_retention_period",
        "set the server's retentionDays",
    ),
    (
        "maximum_spend_logs_retention_interval",
        "old days are removed by themselves",
    ),
    ("proxy_batch_write_at", "rows are stored within a second"),
    (
        "proxy_budget_rescheduler_min_time",
        "budgets end with their window",
    ),
    (
        "proxy_budget_rescheduler_max_time",
        "budgets end with their window",
    ),
    ("salt_key", "secrets are encrypted with a key of the data folder"),
    ("alerting", "ask /metrics, and alert from there"),
    ("alerting_threshold", "ask /metrics, and alert from there"),
    ("alerting_args", "ask /metrics, and alert from there"),
    ("alert_types", "ask /metrics, and alert from there"),
    ("alert_to_webhook_url", "ask /metrics, and alert from there"),
    (
        "spend_report_frequency",
        "ask for it when you need it: stead usage",
    ),
    (
        "background_health_checks",
        "providers are looked at by themselves",
    ),
    ("health_check_interval", "providers are looked at by themselves"),
    ("custom_auth", "keys are checked by Stead alone"),
    ("custom_sso", SIGN_IN),
    ("enable_jwt_auth", "tokens of others are not taken: make a key"),
    ("litellm_jwtauth", "tokens of others are not taken: make a key"),
    ("ui_access_mode", SIGN_IN),
    (
        "pass_through_endpoints",
        "there is no pass-through by address: write a ModelProvider",
    ),
    ("key_management_system", "Secrets are kept by Stead itself"),
    ("key_management_settings", "Secrets are kept by Stead itself"),
    (
        "max_parallel_requests",
        "write a Quota with spec.concurrency for the project",
    ),
    (
        "global_max_parallel_requests",
        "write a Quota with spec.concurrency for the project",
    ),
    ("max_request_size_mb", "set the server's bodyLimit"),
    ("max_response_size_mb", "answers have a built-in bound"),
    ("allowed_ips", "write allowed addresses into the keys"),
    (
        "forward_client_headers_to_llm_api",
        "headers of clients do not go to providers",
    ),
];

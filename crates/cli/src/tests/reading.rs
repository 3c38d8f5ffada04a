//! `get`, `describe`, `explain`, `api`, `status`, `version`, `kubeconfig`, `completions`.

use serde_json::{Value, json};

use super::world::{World, run, run_until};

fn provider(name: &str, ready: &str) -> Value {
    json!({"apiVersion": "stead.dev/v1alpha1", "kind": "ModelProvider",
        "metadata": {"name": name, "namespace": "default", "labels": {"tier": name},
            "managedFields": [{"manager": "stead"}]},
        "spec": {"type": "openai", "baseUrl": format!("https://{name}.example.org/v1")},
        "status": {"conditions": [{"type": "Ready", "status": ready, "reason": "Probed", "message": "it answers",
            "lastTransitionTime": "2026-01-02T03:04:05Z"}]}})
}

fn world() -> World {
    let world = World::new();
    for (name, ready) in [("anthropic", "True"), ("vllm-1", "False"), ("zeta", "True")] {
        world.put(provider(name, ready));
    }
    world.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}));
    world
}

#[test]
fn get_shows_the_servers_table_over_all_pages() {
    let world = world();
    insta::assert_snapshot!(world.run(&["get", "providers"]).all(), @r"
    NAME        READY   AGE
    anthropic   True    5m
    vllm-1      False   5m
    zeta        True    5m
    --- 0
    ");
    insta::assert_snapshot!(world.run(&["get", "provider", "zeta", "-o", "wide"]).all(), @"
    NAME   READY   AGE   URL
    zeta   True    5m    https://zeta.example.org/v1
    --- 0
    ");
    insta::assert_snapshot!(world.run(&["get", "providers", "-A", "-l", "tier=zeta"]).all(), @"
    NAMESPACE   NAME   READY   AGE
    default     zeta   True    5m
    --- 0
    ");
    insta::assert_snapshot!(world.run(&["get", "modelproviders,ns"]).all(), @"
    NAME                                READY   AGE
    modelprovider.stead.dev/anthropic   True    5m
    modelprovider.stead.dev/vllm-1      False   5m
    modelprovider.stead.dev/zeta        True    5m

    NAME                READY    AGE
    namespace/default   <none>   5m
    --- 0
    ");
    insta::assert_snapshot!(world.run(&["get", "models"]).all(), @"
    --- 0
    no models in project default
    ");
}

#[test]
fn get_prints_data_for_programs() {
    let world = world();
    insta::assert_snapshot!(world.run(&["get", "provider/zeta", "-o", "yaml"]).all(), @"
    apiVersion: stead.dev/v1alpha1
    kind: ModelProvider
    metadata:
      name: zeta
      namespace: default
      labels:
        tier: zeta
      resourceVersion: \"3\"
      uid: uid-/apis/stead.dev/v1alpha1/namespaces/default/modelproviders/zeta
      creationTimestamp: \"2026-01-02T03:04:05Z\"
    spec:
      type: openai
      baseUrl: https://zeta.example.org/v1
    status:
      conditions:
      - type: Ready
        status: \"True\"
        reason: Probed
        message: it answers
        lastTransitionTime: \"2026-01-02T03:04:05Z\"
    --- 0
    ");
    let list: Value = serde_json::from_str(&world.run(&["get", "providers", "-o", "json"]).ok()).unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 3);
    assert_eq!(list["items"][2]["kind"], "ModelProvider");
    assert!(list["items"][0]["metadata"].get("managedFields").is_none());
    let whole = world
        .run(&["get", "provider/zeta", "-o", "json", "--show-managed-fields"])
        .ok();
    assert!(whole.contains("managedFields"));
    let names = world.run(&["get", "providers", "-o", "name"]).ok();
    assert_eq!(
        names,
        "modelprovider.stead.dev/anthropic\nmodelprovider.stead.dev/vllm-1\nmodelprovider.stead.dev/zeta\n"
    );
    // What it prints as a name, it takes as a name.
    let name = names.lines().next().unwrap();
    assert_eq!(world.run(&["get", name, "-o", "name"]).ok().trim(), name);
    let empty = world.run(&["get", "models", "-o", "json"]).ok();
    assert_eq!(
        serde_json::from_str::<Value>(&empty).unwrap(),
        json!({"items": []})
    );
}

#[test]
fn a_watch_shows_every_change_once_though_its_connection_keeps_breaking() {
    let world = world();
    world.server.cut_watches_after(1);
    world.server.when_asked(
        "GET /k8s/apis/stead.dev/v1alpha1/namespaces/default/modelproviders?watch",
        |put| {
            for ready in ["Unknown", "True", "False"] {
                put(provider("vllm-1", ready));
            }
            put(provider("last", "True"));
            put(provider("more", "True"));
        },
    );
    let ended = run_until(
        world.program(),
        &["get", "providers", "--watch"],
        "",
        Some("last"),
    );
    insta::assert_snapshot!(ended.all(), @"
    NAME        READY   AGE
    anthropic   True    5m
    vllm-1      False   5m
    zeta        True    5m
    vllm-1      Unknown   5m
    vllm-1      True      5m
    vllm-1      False     5m
    last        True      5m
    --- 0
    ");
}

#[test]
fn a_watch_for_programs_is_a_line_each() {
    let world = world();
    let ended = run_until(
        world.program(),
        &["get", "providers", "-w", "-o", "json"],
        "",
        Some("vllm"),
    );
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    for line in ended.stdout.lines() {
        assert_eq!(
            serde_json::from_str::<Value>(line).unwrap()["kind"],
            "ModelProvider",
            "{line}"
        );
    }
}

#[test]
fn describe_shows_conditions_steps_and_events_and_no_secret() {
    let world = world();
    let mut object = provider("busy", "False");
    object["status"]["steps"] = json!([{"name": "fetch", "state": "Running", "message": "1 of 2", "progress": {"done": 5, "total": 10}}]);
    object["metadata"]["uid"] = "u1".into();
    world.put(object);
    world.put(json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e1", "namespace": "default"}, "type": "Warning",
        "reason": "Slow", "message": "took long", "count": 3, "lastTimestamp": "2026-01-02T04:00:00Z", "involvedObject": {"uid": "u1"}}));
    insta::assert_snapshot!(world.run(&["describe", "provider", "busy"]).all(), @"
    Name:        busy
    Project:     default
    Kind:        ModelProvider (stead.dev/v1alpha1)
    Created:     2026-01-02T03:04:05Z
    Labels:      tier=busy

    Spec:
      type: openai
      baseUrl: https://busy.example.org/v1

    Conditions:
      TYPE    STATUS   REASON   SINCE                  MESSAGE
      Ready   False    Probed   2026-01-02T03:04:05Z   it answers

    Steps:
      NAME    STATE     PROGRESS   MESSAGE
      fetch   Running   5/10       1 of 2

    Events:
      LAST SEEN              TYPE      REASON   MESSAGE
      2026-01-02T04:00:00Z   Warning   Slow     took long (3 times)
    --- 0
    ");
    world.put(
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "default"},
        "type": "Opaque", "data": {"key": "aHVudGVyMg=="}}),
    );
    let described = world.run(&["describe", "secret", "s"]).ok();
    assert!(
        described.contains("key: (7 bytes)") && !described.contains("aHVudGVyMg"),
        "{described}"
    );
}

#[test]
fn explain_leads_from_all_kinds_to_one_field() {
    let world = world();
    insta::assert_snapshot!(world.run(&["explain"]).all(), @"
    NAME             SHORT      APIVERSION           IN PROJECTS   KIND
    namespaces       ns         v1                   no            Namespace
    events           ev         v1                   yes           Event
    secrets                     v1                   yes           Secret
    configmaps       cm         v1                   yes           ConfigMap
    modelproviders   provider   stead.dev/v1alpha1   yes           ModelProvider
    models                      stead.dev/v1alpha1   yes           Model
    --- 0
    ");
    insta::assert_snapshot!(world.run(&["explain", "provider.spec"]).all(), @"
    KIND:       ModelProvider
    VERSION:    stead.dev/v1alpha1
    FIELD:      modelprovider.spec <Object>

    DESCRIPTION:
        What should be.

    FIELDS:
      type <string> -required-
        Which API it speaks.
        One of: openai, ollama

      baseUrl <string>
        Where it is.

      models <[]Object>

      limits <map[string]integer>
        Default: {}
    --- 0
    ");
    insta::assert_snapshot!(world.run(&["explain", "modelproviders.stead.dev", "--recursive"]).all(), @"
    KIND:       ModelProvider
    VERSION:    stead.dev/v1alpha1

    FIELDS:
      apiVersion <string>
      kind <string>
      metadata <ObjectMeta>
        name <string>
        self <ObjectMeta>
      spec <Object> -required-
        type <string> -required-
        baseUrl <string>
        models <[]Object>
          name <string>
        limits <map[string]integer>
    --- 0
    ");
    insta::assert_snapshot!(world.run(&["explain", "provider.spec.baseURL"]).all(), @r#"
    --- 3
    error: modelprovider.spec has no field "baseURL"
    hint: did you mean "baseUrl"?
    "#);
}

#[test]
fn api_sends_a_request_as_it_is() {
    let world = world();
    assert_eq!(
        world.run(&["api", "GET", "/version"]).ok(),
        "{\"version\":\"1.2.0\",\"gitVersion\":\"v1.33.0\"}\n"
    );
    assert_eq!(
        world.run(&["api", "post", "/echo", "-d", "{\"a\": \"é\"}"]).ok(),
        "{\"a\": \"é\"}\n"
    );
    assert_eq!(
        world
            .run_reading(&["api", "PUT", "/echo", "-d", "-"], "from input\n")
            .ok(),
        "from input\n"
    );
    let file = world.file("body.txt", "from a file");
    assert_eq!(
        world
            .run(&["api", "PUT", "/echo", "-d", &format!("@{file}")])
            .ok(),
        "from a file\n"
    );
    let bad = world.run(&["api", "GET", "/x", "-H", "Authorization Bearer hunter2"]);
    assert_eq!(bad.code, 2);
    assert!(!bad.stderr.contains("hunter2"));
    assert_eq!(world.run(&["api", "GET", "no-slash"]).code, 2);
}

#[test]
fn status_counts_what_is_ready_and_fails_when_the_server_is_not() {
    let world = world();
    let address = world.server.address().to_owned();
    let shown = |arguments: &[&str]| world.run(arguments).all().replace(&address, "ADDRESS");
    insta::assert_snapshot!(shown(&["status"]), @"
    PART             STATE       DETAIL
    server           up          1.2.0 at ADDRESS
    health           ready
    modelproviders   2/3 ready   default/vllm-1: it answers
    models           0
    --- 0
    ");
    world
        .server
        .answer("GET /readyz", 503, json!("[-]records failed: disk full"));
    let ended = world.run(&["status"]);
    assert_eq!(ended.code, 7, "{ended:?}");
    assert!(
        ended.stdout.contains("not ready") && ended.stdout.contains("disk full"),
        "{ended:?}"
    );
}

#[test]
fn version_names_both_sides() {
    let world = world();
    let shown = world
        .run(&["version"])
        .all()
        .replace(world.server.address(), "ADDRESS");
    insta::assert_snapshot!(shown, @"
    PART     VERSION   ADDRESS
    client   1.2.3
    server   1.2.0     ADDRESS
    --- 0
    ");
    assert!(
        world
            .run(&["version", "--client", "-o", "json"])
            .ok()
            .contains("\"client\": \"1.2.3\"")
    );
}

#[test]
fn kubeconfig_holds_address_authority_and_token() {
    let world = world();
    world.file("ca.crt", "PEM");
    insta::assert_snapshot!(world.run(&["kubeconfig", "-n", "research"]).all(), @"
    apiVersion: v1
    kind: Config
    clusters:
    - name: stead
      cluster:
        server: https://127.0.0.1:1/k8s
        certificate-authority-data: UEVN
    users:
    - name: stead
      user:
        token: stead-admin-test
    contexts:
    - name: stead
      context:
        cluster: stead
        user: stead
        namespace: research
    current-context: stead
    --- 0
    note: it holds a token that may do what you may: keep it to yourself
    ");
}

#[test]
fn completions_know_every_command() {
    let world = world();
    for shell in ["bash", "zsh", "fish"] {
        let script = world.run(&["completions", shell]).ok();
        assert!(script.contains("kubeconfig"), "{shell}");
    }
}

#[test]
fn who_closes_the_pipe_has_seen_enough() {
    let world = world();
    let ended = run_until(world.program(), &["get", "providers,ns"], "", Some("zeta"));
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert!(
        run(world.program(), &["get", "providers,ns"], "")
            .stdout
            .contains("namespace/default")
    );
}

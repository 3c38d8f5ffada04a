//! Exit codes and what a person reads when something fails.

use serde_json::json;
use stead_kernel::Reason;

use super::world::{World, run};

#[test]
fn every_reason_has_its_exit_code() {
    let codes = Reason::ALL.map(|reason| {
        let world = World::new();
        let path = format!("/api/{}", reason.as_str());
        let body = json!({"error": {"reason": reason.as_str(), "message": "it did not work", "hint": "do something else"}});
        world.server.answer(&format!("GET {path}"), stead_kernel::http::status(reason).as_u16(), body);
        let ended = world.run(&["api", "GET", &path]);
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", "error: it did not work\nhint: do something else\n"));
        assert_eq!(ended.code, crate::exit_code(reason));
        format!("{} {}", ended.code, reason.as_str())
    });
    insta::assert_snapshot!(codes.join("\n"), @r"
    1 invalid
    1 too_large
    4 unauthenticated
    4 forbidden
    3 not_found
    5 conflict
    1 gone
    1 exhausted
    7 unavailable
    6 timeout
    1 unsupported
    1 internal
    ");
}

#[test]
fn what_does_not_exist_is_told_with_what_does() {
    let world = World::new();
    insta::assert_snapshot!(world.run(&["get", "modles"]).all(), @r#"
    --- 3
    error: there is no kind "modles"
    hint: did you mean "models"? All kinds: stead explain
    "#);
    insta::assert_snapshot!(world.run(&["get", "model", "x"]).all(), @r#"
    --- 3
    error: models "x" not found
    "#);
    insta::assert_snapshot!(world.run(&["get", "model/x", "y"]).all(), @r#"
    --- 2
    error: "y" is not KIND/NAME, and KIND/NAME is not mixed with KIND NAME
    "#);
}

#[test]
fn without_a_server_the_way_to_start_it_is_shown() {
    let world = World::new();
    std::fs::remove_file(world.path("run/server.json")).unwrap();
    let shown = world
        .run(&["get", "models"])
        .all()
        .replace(&world.path("").display().to_string(), "DATA/");
    let shown = shown.replace(world.path("").display().to_string().trim_end_matches('/'), "DATA");
    insta::assert_snapshot!(shown, @"
    --- 7
    error: no server is running on DATA
    hint: start it with: stead up, or name one with: --server URL
    ");
    // Its port is free, so nobody listens there.
    let running = r#"{"pid": 1, "http": "http://127.0.0.1:1"}"#;
    world.file("run/server.json", running);
    let ended = world.run(&["get", "models"]);
    assert_eq!(ended.code, 7);
    assert!(
        ended
            .stderr
            .starts_with("error: no server answers at http://127.0.0.1:1: "),
        "{ended:?}"
    );
    assert!(
        ended.stderr.ends_with("hint: start it with: stead up\n"),
        "{ended:?}"
    );
}

#[test]
fn a_wrong_token_is_not_allowed_and_never_shown() {
    let world = World::new();
    let mut program = world.program();
    program.environment.token = Some("hunter2".into());
    let ended = run(program, &["get", "models"], "");
    insta::assert_snapshot!(ended.all(), @"
    --- 4
    error: Unauthorized
    hint: give a token with --token-file FILE or STEAD_TOKEN
    ");
    let file = world.file("token", "two words\n");
    let ended = world.run(&["get", "models", "--token-file", &file]);
    assert_eq!(ended.code, 1);
    assert!(!ended.stderr.contains("two words"));
}

#[test]
fn wrong_usage_is_code_two_and_help_is_data() {
    let world = World::new();
    for arguments in [
        &["frobnicate"][..],
        &["get"],
        &["get", "models", "--no-such-flag"],
        &["get", "models", "-o", "xml"],
    ] {
        let ended = world.run(arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(!ended.stderr.is_empty());
    }
    let help = world.run(&["get", "--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (0, ""));
    assert!(help.stdout.contains("Usage: stead get"));
}

#[test]
fn an_answer_that_is_no_json_is_a_clear_error() {
    let world = World::new();
    world
        .server
        .answer("GET /k8s/apis", 502, json!("upstream is gone"));
    let ended = world.run(&["get", "models"]);
    assert_eq!(ended.code, 7);
    assert!(ended.stderr.contains("502 Bad Gateway"), "{ended:?}");
}

//! Signatures of requests after the examples of AWS ("Signature Version 4 test suite", "Create a signed AWS API
//! request"), with the secret that all of AWS's examples use.

use proptest::prelude::*;

use super::*;

/// 2015-08-30T12:36:00Z, the time of the examples.
const TIME: i64 = 1_440_938_160;

const fn credentials(session_token: Option<&str>) -> Credentials<'_> {
    Credentials {
        access_key_id: "AKIDEXAMPLE",
        secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        session_token,
    }
}

fn signature(
    request: (&str, &str, &str),
    headers: &[(&str, &str)],
    service: &str,
    token: Option<&str>,
) -> String {
    let (method, path, query) = request;
    let unsigned = Unsigned {
        method,
        path,
        query,
        headers,
        body: b"",
    };
    let scope = Scope {
        region: "us-east-1",
        service,
    };
    let added = sign(&unsigned, &credentials(token), scope, TIME);
    let (name, value) = &added[0];
    assert_eq!(*name, "authorization");
    value.rsplit_once("Signature=").unwrap().1.to_owned()
}

#[test]
fn requests_are_signed_as_in_the_examples_of_aws() {
    const HOST: (&str, &str) = ("host", "example.amazonaws.com");
    const PLAIN: &str = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
    let cases = [
        (("GET", "/", ""), PLAIN),
        (
            ("POST", "/", ""),
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ),
        (
            ("GET", "/./example", ""),
            "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5",
        ),
        (("GET", "/example1/example2/../..", ""), PLAIN),
        (("GET", "/./", ""), PLAIN),
        (
            ("GET", "//example//", ""),
            "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
        ),
        (
            ("GET", "/", "Param2=value2&Param1=value1"),
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            ("GET", "/ሴ", ""),
            "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
        ),
        (
            ("GET", "/example space/", ""),
            "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
        ),
    ];
    for (request, wanted) in cases {
        assert_eq!(
            signature(request, &[HOST], "service", None),
            wanted,
            "{request:?}"
        );
    }
    let spaces = [HOST, ("My-Header1", " value1"), ("My-Header2", " \"a   b   c\"")];
    assert_eq!(
        signature(("GET", "/", ""), &spaces, "service", None),
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"
    );
}

#[test]
fn the_list_users_request_of_the_guide_is_signed_as_there() {
    let headers = [
        ("host", "iam.amazonaws.com"),
        ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
    ];
    let request = ("GET", "/", "Action=ListUsers&Version=2010-05-08");
    assert_eq!(
        signature(request, &headers, "iam", None),
        "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    );
}

#[test]
fn a_session_token_is_sent_and_signed() {
    let token = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267";
    assert_eq!(
        signature(
            ("GET", "/", ""),
            &[("host", "example.amazonaws.com")],
            "service",
            Some(token)
        ),
        "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"
    );
}

#[test]
fn a_converse_request_is_signed_with_its_path_encoded_twice() {
    let unsigned = Unsigned {
        method: "POST",
        path: "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse",
        query: "",
        headers: &[
            ("host", "bedrock-runtime.us-east-1.amazonaws.com"),
            ("content-type", "application/json"),
        ],
        body: br#"{"messages":[]}"#,
    };
    let scope = Scope {
        region: "us-east-1",
        service: crate::bedrock::SERVICE,
    };
    let added = sign(&unsigned, &credentials(Some("TOKEN")), scope, TIME);
    // The value is what botocore 1.44 gives for the same request.
    let authorization = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/bedrock/aws4_request, \
        SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, \
        Signature=f32c5a5fce0f35b484e84f7ce7f2cf6f97f7eb7ae6440c2e72a98662823e2b10";
    let wanted = [
        ("authorization", authorization),
        ("x-amz-date", "20150830T123600Z"),
        ("x-amz-security-token", "TOKEN"),
    ];
    let added: Vec<(&str, &str)> = added
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    assert_eq!(added, wanted);
}

#[test]
fn times_are_written_as_dates_of_the_calendar() {
    let cases = [
        (0, "19700101T000000Z"),
        (TIME, "20150830T123600Z"),
        (951_782_400, "20000229T000000Z"),
        (951_868_799, "20000229T235959Z"),
        (4_107_542_400, "21000301T000000Z"),
        (-1, "19691231T235959Z"),
    ];
    for (time, wanted) in cases {
        assert_eq!(timestamp(time), wanted, "{time}");
    }
}

#[test]
fn a_secret_is_not_in_the_debug_text() {
    let text = format!("{:?}", credentials(Some("TOKEN")));
    assert!(!text.contains("wJalr") && !text.contains("TOKEN"), "{text}");
}

proptest! {
    #[test]
    fn no_request_panics(
        path in "\\PC{0,40}", query in "\\PC{0,40}", name in "\\PC{0,10}", value in "\\PC{0,20}", time in any::<i64>(),
    ) {
        let headers = [(name.as_str(), value.as_str())];
        let unsigned = Unsigned { method: "POST", path: &path, query: &query, headers: &headers, body: b"" };
        let scope = Scope { region: "eu-west-1", service: "bedrock" };
        sign(&unsigned, &credentials(None), scope, time);
    }

    #[test]
    fn the_order_of_headers_and_parameters_does_not_matter(
        headers in prop::collection::btree_map("[a-z-]{1,8}", "[ -~]{0,12}", 0..5),
        query in prop::collection::btree_map("[a-z]{1,5}", "[a-z]{0,5}", 0..5),
    ) {
        let sorted: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let reversed: Vec<(&str, &str)> = sorted.iter().rev().copied().collect();
        let mut pairs: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let forward = pairs.join("&");
        pairs.reverse();
        let one = signature(("GET", "/", &forward), &sorted, "service", None);
        prop_assert_eq!(one, signature(("GET", "/", &pairs.join("&")), &reversed, "service", None));
    }
}

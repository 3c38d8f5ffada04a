//! Companies have proxies and certificate authorities of their own, and providers are reached through them.

use serde_json::{Value, json};
use stead_testkit::ConnectProxy;

use crate::{provider::Provider, support::Served};

const KEY: &str = "sk-stead-from-a-file";
/// `ada:secret`.
const CREDENTIAL: &str = "Basic YWRhOnNlY3JldA==";

fn manifests() -> String {
    let provider = |name: &str, host: &str| {
        format!(
            "apiVersion: stead.dev/v1alpha1\nkind: ModelProvider\nmetadata: {{name: {name}}}\n\
             spec: {{type: openai-compatible, baseUrl: 'https://{host}:8443/v1', models: [stand-in], \
             credential: {{secretRef: {{name: provider}}}}}}\n---\n"
        )
    };
    format!(
        "{}{}apiVersion: v1\nkind: Secret\nmetadata: {{name: provider}}\nstringData: {{api-key: sk-provider}}\n---\n\
         apiVersion: stead.dev/v1alpha1\nkind: ApiKey\nmetadata: {{name: app}}\nspec: {{keyHash: '{}'}}\n",
        provider("behind", "provider.test"),
        provider("direct", "direct.test"),
        hash(KEY),
    )
}

fn hash(key: &str) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(key.as_bytes());
    let digits: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{}", digits.concat())
}

/// A gateway from files with this environment.
async fn gateway(environment: &[(&str, &str)]) -> Served {
    let mut gateway = Served::new();
    let folder = gateway.path("config");
    std::fs::create_dir_all(&folder).expect("made");
    std::fs::write(folder.join("all.yaml"), manifests()).expect("written");
    let pairs = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    gateway.environment.extend(pairs);
    let arguments = ["gateway", "--config", &folder.to_string_lossy(), "--no-usage"];
    gateway.start(&arguments.map(str::to_owned)).await;
    gateway.ready().await;
    gateway
}

async fn ask(gateway: &Served, provider: &str) -> (u16, Value) {
    let body =
        json!({"model": format!("{provider}/stand-in"), "messages": [{"role": "user", "content": "?"}]});
    gateway.ask(KEY, "/v1/chat/completions", &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_are_reached_through_the_proxy_and_trusted_by_the_companys_ca() {
    let authority = tempfile::tempdir().expect("a folder");
    let provider = Provider::start_tls(authority.path(), "provider.test").await;
    let proxy = ConnectProxy::start(&[("provider.test:8443", provider.address)], Some(CREDENTIAL)).await;
    let address = format!("http://ada:secret@{}", proxy.address);
    let ca = authority.path().join("ca.crt").to_string_lossy().into_owned();
    let environment = [
        ("HTTPS_PROXY", address.as_str()),
        ("NO_PROXY", "direct.test,10.0.0.0/8"),
        ("SSL_CERT_FILE", &ca),
    ];
    let company = gateway(&environment).await;
    let (status, answer) = ask(&company, "behind").await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["choices"][0]["message"]["content"], "Paris");
    // Exempted from the proxy, and without a name of its own here.
    let (status, answer) = ask(&company, "direct").await;
    assert_ne!(status, 200, "{answer}");
    let asked = proxy.asked();
    assert!(
        asked.iter().all(|host| host == "provider.test:8443") && !asked.is_empty(),
        "{asked:?}"
    );

    // The same without the company's CA: the provider's certificate is nobody's that one knows.
    let stranger = gateway(&environment[..2]).await;
    let (status, answer) = ask(&stranger, "behind").await;
    assert_ne!(status, 200);
    let message = answer["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("certificate"), "{answer}");
    assert!(!answer.to_string().contains("secret"), "{answer}");

    // With a wrong password for the proxy.
    let wrong = format!("http://ada:wrong@{}", proxy.address);
    let refused = gateway(&[("HTTPS_PROXY", &wrong), environment[2]]).await;
    let (status, answer) = ask(&refused, "behind").await;
    assert_ne!(status, 200);
    let message = answer["error"]["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("proxy") && !message.contains("wrong"),
        "{answer}"
    );
}

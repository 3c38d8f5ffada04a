use std::{fs, os::unix::fs::PermissionsExt, sync::Mutex};

use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection, pki_types::ServerName};
use stead_kernel::{Reason, SystemClock};
use tempfile::TempDir;

use super::*;

/// A clock that the test sets.
struct Set(Mutex<Timestamp>);

impl Clock for Set {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn load(folder: &TempDir, names: &[&str]) -> Result<Authority> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    Authority::load_or_create(folder.path(), &names, Arc::new(SystemClock))
}

/// Shakes hands in memory, as a client that trusts `ca` and asks for `name`.
fn shake_hands(authority: &Authority, ca: &str, name: &str) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(issue::der(ca).expect("a certificate"))?;
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let mut client = ClientConnection::new(Arc::new(config), name)?;
    let mut server = ServerConnection::new(authority.server_config())?;
    let mut bytes = Vec::new();
    while client.is_handshaking() {
        bytes.clear();
        client.write_tls(&mut bytes).expect("memory");
        server.read_tls(&mut bytes.as_slice()).expect("memory");
        server.process_new_packets()?;
        bytes.clear();
        server.write_tls(&mut bytes).expect("memory");
        client.read_tls(&mut bytes.as_slice()).expect("memory");
        client.process_new_packets()?;
    }
    Ok(())
}

#[test]
fn clients_that_trust_the_ca_accept_every_name_of_the_server() {
    let folder = folder();
    let authority = load(
        &folder,
        &["ai.example.com", "203.0.113.7", "[2001:db8::7]", "192.168.3.4"],
    )
    .expect("made");
    for name in [
        "localhost",
        "stead.internal",
        "127.0.0.1",
        "::1",
        "ai.example.com",
        "203.0.113.7",
        "2001:db8::7",
        "192.168.3.4",
    ] {
        shake_hands(&authority, authority.ca_pem(), name).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    shake_hands(&authority, authority.ca_pem(), "example.com").expect_err("not a name of the server");
}

#[test]
fn the_ca_is_worth_nothing_for_names_of_others() {
    let folder = folder();
    let authority = load(&folder, &[]).expect("made");
    for (given, asked) in [("bank.example", "bank.example"), ("8.8.8.8", "8.8.8.8")] {
        // A leaf that someone with the key makes for other names.
        let names = Name::all(&[given.to_owned()]).expect("names");
        let key = load_or_create_key(&folder.path().join("ca.key")).expect("key");
        let now = Timestamp::now();
        let forged = Authority {
            pem: authority.pem.clone(),
            der: authority.der.clone(),
            path: authority.path.clone(),
            leaves: Arc::new(Leaves {
                authority: authority.der.clone(),
                current: RwLock::new(issue::leaf(&authority.der, &key, &names, now).expect("made")),
                key,
                names,
                clock: Arc::new(SystemClock),
            }),
        };
        shake_hands(&forged, authority.ca_pem(), asked).expect_err(asked);
    }
}

#[test]
fn a_second_start_has_the_same_ca_and_private_keys() {
    let folder = folder();
    let first = load(&folder, &["ai.example.com"]).expect("made");
    let second = load(&folder, &["ai.example.com"]).expect("loaded");
    assert_eq!(first.ca_pem(), second.ca_pem());
    assert_eq!(first.fingerprint(), second.fingerprint());
    assert_eq!(first.fingerprint().len(), "sha256:".len() + 64);
    let mode = fs::metadata(folder.path().join("ca.key"))
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        fs::read_to_string(second.ca_path()).expect("there"),
        second.ca_pem()
    );
}

#[test]
fn a_new_name_makes_a_new_certificate_with_the_same_key() {
    let folder = folder();
    let before = load(&folder, &[]).expect("made");
    let after = load(&folder, &["new.example.com"]).expect("made again");
    assert_ne!(before.ca_pem(), after.ca_pem());
    shake_hands(&after, after.ca_pem(), "new.example.com").expect("permitted now");
    // Fewer names are no reason to make clients trust another certificate.
    let fewer = load(&folder, &[]).expect("loaded");
    assert_eq!(fewer.ca_pem(), after.ca_pem());
    shake_hands(&fewer, before.ca_pem(), "localhost").expect("the old certificate is good for old names");
}

#[test]
fn the_servers_certificate_is_replaced_before_it_expires() {
    let folder = folder();
    let clock = Arc::new(Set(Mutex::new(Timestamp::now())));
    let port: Arc<dyn Clock> = Arc::<Set>::clone(&clock);
    let authority = Authority::load_or_create(folder.path(), &[], port).expect("made");
    let first = authority.leaves.current();
    assert!(Arc::ptr_eq(&first, &authority.leaves.current()));
    let later = clock.now() + jiff::Span::new().hours(24 * 61);
    *clock.0.lock().expect("alone") = later;
    let second = authority.leaves.current();
    assert!(!Arc::ptr_eq(&first, &second));
    assert!(Arc::ptr_eq(&second, &authority.leaves.current()));
}

#[test]
fn a_ca_near_its_end_is_made_again() {
    let folder = folder();
    let start = Timestamp::now();
    let clock = |days: i64| -> Arc<dyn Clock> {
        Arc::new(Set(Mutex::new(start + jiff::Span::new().hours(24 * days))))
    };
    let first = Authority::load_or_create(folder.path(), &[], clock(0)).expect("made");
    let later = Authority::load_or_create(folder.path(), &[], clock(3000)).expect("loaded");
    assert_eq!(first.ca_pem(), later.ca_pem());
    let last = Authority::load_or_create(folder.path(), &[], clock(3600)).expect("made again");
    assert_ne!(first.ca_pem(), last.ca_pem());
}

#[test]
fn damaged_or_readable_files_are_refused_with_what_to_do() {
    let folder = folder();
    load(&folder, &[]).expect("made");
    let (key, certificate) = (folder.path().join("ca.key"), folder.path().join("ca.crt"));

    let good = fs::read(&certificate).expect("there");
    for garbage in [
        "",
        "no PEM",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        fs::write(&certificate, garbage).expect("written");
        let error = load(&folder, &[]).expect_err("damaged");
        assert!(error.message().contains("ca.crt is damaged"), "{error}");
        assert!(error.get_hint().is_some());
    }
    fs::write(&certificate, good).expect("written");

    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).expect("set");
    let error = load(&folder, &[]).expect_err("readable by the group");
    assert_eq!(error.reason(), Reason::Forbidden);
    assert!(error.get_hint().is_some_and(|hint| hint.contains("chmod 600")));

    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("set");
    fs::write(&key, issue::new_key().expect("made").serialize_pem()).expect("written");
    let error = load(&folder, &[]).expect_err("another key");
    assert!(
        error.full_message().contains("another key"),
        "{}",
        error.full_message()
    );
}

#[test]
fn what_is_no_name_is_refused() {
    for name in [
        "",
        "https://ai.example.com",
        "ai.example.com:443",
        "a b",
        "*.example.com",
    ] {
        let error = load(&folder(), &[name]).expect_err(name);
        assert_eq!(error.reason(), Reason::Invalid, "{name}");
    }
}

//! ClickHouse's HTTP interface (<https://clickhouse.com/docs/interfaces/http>).
//!
//! *Invariant:* the password travels in a header and is in no message; a text is in a statement only as hexadecimal digits.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use stead_kernel::{
    Body, Error, Result,
    ports::{Outbound, Reach, SendOptions},
};
use url::{Url, form_urlencoded::Serializer};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a statement may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long one may take that removes much.
const LONG: Duration = Duration::from_mins(10);
/// An answer is no larger.
const LARGEST: usize = 1 << 30;
/// With every statement: an answer is whole or an error, numbers are numbers, and lists of ids are long.
const ALWAYS: [(&str, &str); 3] = [
    ("wait_end_of_query", "1"),
    ("output_format_json_quote_64bit_integers", "0"),
    ("max_query_size", "16777216"),
];
/// With every insert: it is answered when it is stored, and what it brings becomes one part or none of it does
/// (<https://clickhouse.com/docs/sql-reference/statements/insert-into>).
const INSERT: [(&str, &str); 7] = [
    ("async_insert", "0"),
    ("wait_for_async_insert", "1"),
    ("input_format_parallel_parsing", "0"),
    ("max_insert_block_size", "100000000"),
    ("min_insert_block_size_rows", "100000000"),
    ("min_insert_block_size_bytes", "8000000000"),
    ("max_insert_threads", "1"),
];

/// A database of a server.
pub(super) struct Server {
    outbound: Arc<dyn Outbound>,
    /// Without user and password.
    url: Url,
    user: HeaderValue,
    key: HeaderValue,
    pub(super) database: String,
}

impl Server {
    /// The server and database that an address names: `http://user:password@host:8123/database`.
    ///
    /// # Errors
    /// `Invalid` when it is no such address.
    pub(super) fn new(address: &str, outbound: Arc<dyn Outbound>) -> Result<Self> {
        let wrong = |what: &str| {
            Error::invalid(format!("eventsUrl: {what}"))
                .hint("it is an address of ClickHouse's HTTP interface: http://user:password@host:8123/database, or https://")
        };
        let mut url = Url::parse(address).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong(&format!("{} is no way to reach ClickHouse", url.scheme())));
        }
        let decoded = |text: &str| {
            let pair = format!("x={}", text.replace('+', "%2B"));
            let found = url::form_urlencoded::parse(pair.as_bytes()).next();
            found.map_or_else(String::new, |(_, text)| text.into_owned())
        };
        let (user, key) = (
            decoded(url.username()),
            decoded(url.password().unwrap_or_default()),
        );
        let user = if user.is_empty() {
            "default".to_owned()
        } else {
            user
        };
        let database = match url.path().trim_matches('/') {
            "" => "default".to_owned(),
            path => decoded(path),
        };
        if database.contains('/') || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong(
                "after the host comes the name of a database, and nothing else",
            ));
        }
        let header = |text: &str| {
            let value = HeaderValue::from_str(text);
            let mut value = value.map_err(|_| wrong("user and password are of visible ASCII characters"))?;
            value.set_sensitive(true);
            Ok::<_, Error>(value)
        };
        let (user, key) = (header(&user)?, header(&key)?);
        let cleared = url.set_username("").and_then(|()| url.set_password(None));
        cleared.map_err(|()| wrong("it names no host"))?;
        url.set_path("/");
        Ok(Self {
            outbound,
            url,
            user,
            key,
            database,
        })
    }

    /// Where it is, without user and password.
    pub(super) fn place(&self) -> String {
        let port = self.url.port_or_known_default().unwrap_or(80);
        format!("{}:{port}", self.url.host_str().unwrap_or_default())
    }

    /// The rows that a statement answers with, one JSON object a line.
    pub(super) async fn select(&self, sql: &str) -> Result<Vec<u8>> {
        let statement = format!("{sql} FORMAT JSONEachRow");
        self.ask(&[], statement.into_bytes(), PATIENCE).await
    }

    /// Stores rows, all of them or none.
    pub(super) async fn insert(&self, table: &str, rows: Vec<u8>) -> Result<()> {
        let mut settings = INSERT.to_vec();
        let statement = format!("INSERT INTO {table} FORMAT JSONEachRow");
        settings.push(("query", &statement));
        self.ask(&settings, rows, PATIENCE).await.map(drop)
    }

    /// Does what answers with nothing.
    pub(super) async fn command(&self, sql: &str) -> Result<()> {
        self.ask(&[], sql.as_bytes().to_vec(), LONG).await.map(drop)
    }

    async fn ask(&self, settings: &[(&str, &str)], body: Vec<u8>, patience: Duration) -> Result<Vec<u8>> {
        let request = self.request(settings, body)?;
        let options = SendOptions {
            reach: Reach::Private,
            connect_timeout: CONNECT,
        };
        let asking = async {
            let response = self.outbound.send(request, options).await;
            let response = response.map_err(|error| self.away(&error.full_message()))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, LARGEST).collect().await;
            let body = body.map_err(|error| self.away(&error.to_string()))?.to_bytes();
            if head.status == StatusCode::OK {
                return Ok(Vec::from(body));
            }
            let code = head.headers.get("x-clickhouse-exception-code");
            let code = code.and_then(|code| code.to_str().ok()?.parse().ok());
            Err(self.refused(code, head.status, &String::from_utf8_lossy(&body)))
        };
        match tokio::time::timeout(patience, asking).await {
            Ok(answer) => answer,
            Err(_) => Err(self.away("it did not answer in time")),
        }
    }

    fn request(&self, settings: &[(&str, &str)], body: Vec<u8>) -> Result<Request<Body>> {
        let mut query = Serializer::new(String::new());
        query.extend_pairs(ALWAYS);
        query.append_pair("database", &self.database);
        query.extend_pairs(settings);
        let mut url = self.url.clone();
        url.set_query(Some(&query.finish()));
        Request::post(url.as_str())
            .header("x-clickhouse-user", self.user.clone())
            .header("x-clickhouse-key", self.key.clone())
            .header(http::header::HOST, self.place())
            .header(http::header::CONTENT_LENGTH, body.len())
            .body(Body::from(body))
            .map_err(|error| Error::internal("a request to ClickHouse could not be made").because(error))
    }

    fn away(&self, why: &str) -> Error {
        Error::unavailable(format!("ClickHouse at {} cannot be reached: {why}", self.place()))
            .hint("traces are stored and read there (eventsUrl): start it again, or wait for it; what was answered with success is stored")
            .retry_after(Duration::from_secs(1))
    }

    /// What the server said no with (<https://github.com/ClickHouse/ClickHouse/blob/master/src/Common/ErrorCodes.cpp>).
    fn refused(&self, code: Option<u32>, status: StatusCode, text: &str) -> Error {
        let text: String = text.trim().chars().take(400).collect();
        let place = self.place();
        match code {
            // UNKNOWN_USER, WRONG_PASSWORD, REQUIRED_PASSWORD, AUTHENTICATION_FAILED
            Some(192..=194 | 516) => {
                Error::forbidden(format!("ClickHouse at {place} does not let this user in: {text}"))
                    .hint("check the user and the password of eventsUrl")
            }
            // NOT_ENOUGH_PRIVILEGES
            Some(497) => Error::forbidden(format!("ClickHouse at {place} does not allow it: {text}")).hint(
                "the user of eventsUrl needs SELECT, INSERT, CREATE TABLE, ALTER DELETE and ALTER UPDATE in its database",
            ),
            // UNKNOWN_DATABASE
            Some(81) => Error::not_found(format!("ClickHouse at {place} has no database {}", self.database))
                .hint(format!("make it: CREATE DATABASE {}", quoted(&self.database))),
            // TIMEOUT_EXCEEDED
            Some(159) => Error::timeout(format!("ClickHouse at {place} took too long: {text}")),
            None => Error::unavailable(format!("{place} answered {status}, and not as ClickHouse does: {text}"))
                .hint("eventsUrl names ClickHouse's HTTP interface, whose port is 8123 or, with TLS, 8443"),
            Some(_) => Error::unavailable(format!("ClickHouse at {place} refused: {text}"))
                .retry_after(Duration::from_secs(1)),
        }
    }
}

/// A name in a statement.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

/// A text in a statement, whatever is in it.
pub(super) fn text(text: &str) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    let digit = |half: u8| DIGITS.get(usize::from(half)).copied();
    let digits = text.bytes().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    format!("unhex('{}')", digits.flatten().collect::<String>())
}

#[cfg(test)]
mod tests {
    use stead_testkit::FakeWeb;

    use super::*;

    fn server(address: &str) -> Result<Server> {
        Server::new(address, Arc::new(FakeWeb::default()))
    }

    #[test]
    fn an_address_names_a_database_and_is_shown_without_user_and_password() {
        for (address, place, database) in [
            ("http://h", "h:80", "default"),
            ("http://ada:p%40ss@h:8123/stead", "h:8123", "stead"),
            ("https://ada@h:8443/a%20b/", "h:8443", "a b"),
        ] {
            let server = server(address).unwrap();
            assert_eq!(
                (server.place().as_str(), server.database.as_str()),
                (place, database)
            );
            assert!(!server.url.as_str().contains("ada") && server.user.is_sensitive());
        }
        assert_eq!(server("http://ada:p%40s+s@h").unwrap().key, "p@s+s");
        for wrong in [
            "h:8123",
            "postgres://h/d",
            "http://h/a/b",
            "http://h/a?x=1",
            "http://a%0a:b@h/",
        ] {
            let error = server(wrong).err().map(|error| error.reason());
            assert_eq!(error, Some(stead_kernel::Reason::Invalid), "{wrong}");
        }
    }

    #[test]
    fn what_would_end_a_text_or_a_name_does_not() {
        assert_eq!(text("a'\\\0"), "unhex('61275c00')");
        assert_eq!(quoted("a`b\\"), "`a\\`b\\\\`");
    }
}

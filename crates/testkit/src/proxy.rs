//! A forward proxy, as companies have one: it opens tunnels by `CONNECT` (RFC 9110, section 9.3.6) for those who show
//! its credential.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use stead_kernel::Tasks;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// A running proxy; it ends when it is dropped.
pub struct ConnectProxy {
    /// Where it listens.
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    tasks: Tasks,
}

/// What a tunnel is opened by.
struct Rules {
    /// `host:port` and where that really is; the names exist for the proxy only.
    hosts: BTreeMap<String, SocketAddr>,
    /// The value of `Proxy-Authorization` that it wants to see.
    credential: Option<String>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl ConnectProxy {
    /// Starts a proxy that knows these hosts (`provider.test:443`).
    pub async fn start(hosts: &[(&str, SocketAddr)], credential: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port of this machine");
        let address = listener.local_addr().expect("it is bound");
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let rules = Arc::new(Rules {
            hosts: hosts
                .iter()
                .map(|(name, address)| ((*name).to_owned(), *address))
                .collect(),
            credential: credential.map(str::to_owned),
            asked: Arc::clone(&asked),
        });
        let tasks = Tasks::new();
        let tunnels = tasks.clone();
        tasks.spawn_until_stopped("proxy", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let rules = Arc::clone(&rules);
                tunnels.spawn_until_stopped("tunnel", async move {
                    // A peer that leaves ends its tunnel, and nothing else.
                    let _ = rules.serve(stream).await;
                });
            }
        });
        Self {
            address,
            asked,
            tasks,
        }
    }

    /// The hosts of all requests for tunnels so far, granted or not.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for ConnectProxy {
    fn drop(&mut self) {
        self.tasks.token().cancel();
    }
}

impl Rules {
    async fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            // A bound, for a client that never ends its line.
            (&mut stream).take(16 << 10).read_line(&mut line).await?;
            if line.trim().is_empty() {
                break;
            }
            head.push(line.trim().to_owned());
        }
        let host = head
            .first()
            .and_then(|line| line.split(' ').nth(1))
            .unwrap_or_default();
        let asked = head.first().is_some_and(|line| line.starts_with("CONNECT "));
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(host.to_owned());
        let shown = head.iter().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let ours = name.eq_ignore_ascii_case("proxy-authorization");
            ours.then(|| value.trim().to_owned())
        });
        let refusal = match (asked, self.hosts.get(host)) {
            (false, _) => "405 Method Not Allowed",
            (true, _) if shown != self.credential => "407 Proxy Authentication Required",
            (true, None) => "502 Bad Gateway",
            (true, Some(target)) => {
                let mut target = TcpStream::connect(target).await?;
                stream
                    .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    .await?;
                tokio::io::copy_bidirectional(&mut stream, &mut target).await?;
                return Ok(());
            }
        };
        let answer = format!("HTTP/1.1 {refusal}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(proxy: &ConnectProxy, head: &str) -> String {
        let mut stream = TcpStream::connect(proxy.address).await.expect("connected");
        stream.write_all(head.as_bytes()).await.expect("written");
        let mut answer = vec![0; 12];
        stream.read_exact(&mut answer).await.expect("answered");
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn a_tunnel_is_opened_to_known_hosts_for_those_who_show_the_credential() {
        let target = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = target.local_addr().expect("bound");
        let proxy = ConnectProxy::start(&[("a.test:443", address)], Some("Basic eA==")).await;
        let credential = "proxy-authorization: Basic eA==\r\n";
        for (head, status) in [
            (
                format!("CONNECT a.test:443 HTTP/1.1\r\n{credential}\r\n"),
                "HTTP/1.1 200",
            ),
            ("CONNECT a.test:443 HTTP/1.1\r\n\r\n".to_owned(), "HTTP/1.1 407"),
            (
                format!("CONNECT b.test:443 HTTP/1.1\r\n{credential}\r\n"),
                "HTTP/1.1 502",
            ),
            (
                format!("GET http://a.test/ HTTP/1.1\r\n{credential}\r\n"),
                "HTTP/1.1 405",
            ),
        ] {
            assert_eq!(ask(&proxy, &head).await, status, "{head}");
        }
        assert_eq!(proxy.asked().len(), 4);
    }
}

//! TCP connections to the first of several addresses that answers.

use std::{io, net::SocketAddr, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::net::TcpStream;

/// After which time the next address is tried beside the one that has not answered yet (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Connects to one of the addresses, tried in order. With the error of the last one that failed.
pub(super) async fn dial(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut waiting = alternate(addresses).into_iter();
    let mut trying = FuturesUnordered::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    trying.extend(waiting.next().map(TcpStream::connect));
    loop {
        let head_start = tokio::time::sleep(HEAD_START);
        tokio::select! {
            done = trying.next() => match done {
                Some(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Some(Err(error)) => last = error,
                None => return Err(last),
            },
            () = head_start, if waiting.len() > 0 => {}
        }
        trying.extend(waiting.next().map(TcpStream::connect));
    }
}

/// The addresses with the two families alternating, so that a broken one costs little.
fn alternate(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (preferred, other): (Vec<SocketAddr>, Vec<SocketAddr>) = addresses
        .iter()
        .copied()
        .partition(|address: &SocketAddr| address.is_ipv6() == first_is_v6);
    let (mut preferred, mut other) = (preferred.into_iter(), other.into_iter());
    let mut order = Vec::with_capacity(addresses.len());
    while order.len() < addresses.len() {
        order.extend(preferred.next());
        order.extend(other.next());
    }
    order
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn families_alternate_from_the_preferred_one() {
        let addresses =
            ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"].map(|text| text.parse().expect("an address"));
        let order: Vec<String> = alternate(&addresses).iter().map(ToString::to_string).collect();
        assert_eq!(order, ["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]);
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_passed_over() {
        let closed = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let refuses = closed.local_addr().expect("an address");
        drop(closed);
        let open = TcpListener::bind("127.0.0.2:0").await.expect("bound");
        let answers = open.local_addr().expect("an address");
        let stream = dial(&[refuses, answers]).await.expect("connected");
        assert_eq!(stream.peer_addr().expect("an address"), answers);
    }

    #[tokio::test]
    async fn nothing_to_try_is_an_error_and_no_hang() {
        dial(&[]).await.expect_err("no address");
    }
}

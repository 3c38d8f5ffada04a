//! Framing of event streams.

use proptest::prelude::*;
use stead_dialects::sse::{Decoder, Error, Event, encode};

fn event(name: Option<&str>, data: &str) -> Event {
    Event {
        event: name.map(str::to_owned),
        data: data.to_owned(),
    }
}

fn decode(chunks: &[&[u8]]) -> Vec<Event> {
    let mut decoder = Decoder::default();
    chunks
        .iter()
        .flat_map(|chunk| decoder.push(chunk).expect("below the limit"))
        .collect()
}

#[test]
fn streams_are_cut_into_events() {
    let cases: [(&str, Vec<Event>); 11] = [
        ("data: a\n\n", vec![event(None, "a")]),
        (
            "data:a\n\ndata:  b\n\n",
            vec![event(None, "a"), event(None, " b")],
        ),
        ("event: x\ndata: a\n\n", vec![event(Some("x"), "a")]),
        ("data: a\r\ndata: b\r\n\r\n", vec![event(None, "a\nb")]),
        ("data: a\rdata: b\r\r", vec![event(None, "a\nb")]),
        ("\u{feff}data: a\n\n", vec![event(None, "a")]),
        (": comment\nid: 7\nretry: 5\ndata: a\n\n", vec![event(None, "a")]),
        ("event: lonely\n\ndata: a\n\n", vec![event(None, "a")]),
        ("data\n\n", vec![event(None, "")]),
        ("\n\n\ndata: a", vec![]),
        ("database: a\n\n", vec![]),
    ];
    for (stream, wanted) in cases {
        assert_eq!(decode(&[stream.as_bytes()]), wanted, "{stream:?}");
    }
}

#[test]
fn an_event_may_be_split_anywhere() {
    assert_eq!(
        decode(&[b"da", b"ta: \xc3", b"\xbc\r", b"\n\r", b"\n"]),
        [event(None, "ü")]
    );
    assert_eq!(
        decode(&[b"\xef\xbb", b"\xbfdata: a\n", b"", b"\n"]),
        [event(None, "a")]
    );
}

#[test]
fn the_end_of_a_stream_shows_whether_it_was_cut_off() {
    let mut decoder = Decoder::default();
    assert_eq!(decoder.push(b"data: a\n\ndata: b"), Ok(vec![event(None, "a")]));
    assert!(decoder.is_mid_event());
    assert_eq!(decoder.finish(), Some(event(None, "b")));
    assert!(!decoder.is_mid_event());
    assert_eq!(decoder.finish(), None);
}

#[test]
fn events_above_the_limit_are_refused_and_many_small_ones_are_not() {
    let mut decoder = Decoder::new(16);
    for _ in 0..10 {
        assert_eq!(decoder.push(b"data: 123456\n\n"), Ok(vec![event(None, "123456")]));
    }
    assert_eq!(decoder.push(b"data: 12345"), Ok(vec![]));
    assert_eq!(decoder.push(b"678901\n\n"), Err(Error::TooLarge { limit: 16 }));
    assert_eq!(
        Decoder::new(4).push(b"data: a"),
        Err(Error::TooLarge { limit: 4 })
    );
}

#[test]
fn events_are_written_in_wire_form() {
    assert_eq!(encode(None, "a").as_ref(), b"data: a\n\n");
    assert_eq!(
        encode(Some("x\ny"), "a\r\nb\rc\nd").as_ref(),
        b"event: xy\ndata: a\ndata: b\ndata: c\ndata: d\n\n"
    );
    assert_eq!(encode(None, "").as_ref(), b"data: \n\n");
}

/// Cuts a stream at the given places.
fn cut<'a>(stream: &'a [u8], places: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(stream.len() + 1)).collect();
    places.sort_unstable();
    let mut rest = stream;
    let mut from = 0;
    let mut chunks = Vec::new();
    for place in places {
        let (chunk, tail) = rest.split_at(place - from);
        chunks.push(chunk);
        (rest, from) = (tail, place);
    }
    chunks.push(rest);
    chunks
}

proptest! {
    #[test]
    fn any_split_gives_the_same_events(
        stream in "(\u{feff})?((data|event|id|)(:| |x|: )?[a-zé:\u{feff} ]{0,5}(\r|\n|\r\n)){0,12}[a-z:]{0,4}",
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let bytes = stream.as_bytes();
        prop_assert_eq!(decode(&cut(bytes, &places)), decode(&[bytes]));
    }

    #[test]
    fn bytes_of_any_kind_do_no_harm(stream in prop::collection::vec(any::<u8>(), 0..200), places in prop::collection::vec(any::<prop::sample::Index>(), 0..9)) {
        prop_assert_eq!(decode(&cut(&stream, &places)), decode(&[&stream]));
    }

    #[test]
    fn events_survive_their_wire_form(events in prop::collection::vec((prop::option::of("[a-z_]{1,9}"), "[ -~é\n]{0,30}"), 0..6)) {
        let stream: Vec<u8> = events.iter().flat_map(|(name, data)| encode(name.as_deref(), data)).collect();
        let wanted: Vec<Event> = events.iter().map(|(name, data)| event(name.as_deref(), data)).collect();
        prop_assert_eq!(decode(&[&stream]), wanted);
    }
}

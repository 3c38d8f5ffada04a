//! Framing, recovery and shipping, with faults.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use proptest::prelude::*;
use stead_kernel::{
    Error, Tasks,
    ports::{
        Events, Page, TokenUsage,
        events::{AuditQuery, AuditRow, Event, Outcome, RequestQuery, RequestRow, UsageQuery, UsageRow},
    },
};
use stead_testkit::{MemoryEvents, poll_until};
use uuid::Uuid;

use super::{
    frame::{self, Decoded, Kind},
    recovery, segment, ship,
    writer::{Journal, Ticket},
};

const SOON: Duration = Duration::from_secs(20);

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn row(number: u128, outcome: Outcome) -> RequestRow {
    RequestRow {
        id: id(number).to_string(),
        outcome,
        usage: TokenUsage {
            input: 7,
            output: 3,
            ..TokenUsage::default()
        },
        ..RequestRow::default()
    }
}

fn reserve(journal: &Journal, number: u128) -> Ticket {
    journal
        .reserve(id(number), &row(number, Outcome::Interrupted))
        .unwrap()
}

fn settle(journal: &Journal, ticket: Ticket, number: u128) {
    journal.settle(ticket, &row(number, Outcome::Ok));
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Starts shipping, and returns what stops it.
fn start(journal: &Journal, events: &Arc<MemoryEvents>) -> Tasks {
    let tasks = Tasks::new();
    ship(journal, Arc::clone(events) as Arc<dyn Events>, &tasks);
    tasks
}

async fn shipped(events: &MemoryEvents, count: usize) -> Vec<RequestRow> {
    poll_until(SOON, "rows in the event store", async || {
        let rows = rows(events);
        (rows.len() >= count).then_some(rows)
    })
    .await
}

fn rows(events: &MemoryEvents) -> Vec<RequestRow> {
    events.all_requests()
}

fn segments(folder: &Path) -> usize {
    segment::list(folder).unwrap().len()
}

proptest! {
    #[test]
    fn a_frame_is_read_back_and_a_damaged_one_never_is(
        payload in proptest::collection::vec(any::<u8>(), 0..300),
        id in any::<[u8; 16]>(),
        flip in any::<proptest::sample::Index>(),
        bit in 0_u32..8,
    ) {
        let mut bytes = Vec::new();
        frame::encode(&mut bytes, Kind::Settlement, id, |buffer| buffer.extend_from_slice(&payload));
        let whole = matches!(frame::decode(&bytes), Decoded::Frame(frame, length)
            if frame.payload == payload && frame.id == id && length == bytes.len());
        prop_assert!(whole);
        for end in 0..bytes.len() {
            prop_assert_eq!(frame::decode(&bytes[..end]), Decoded::Incomplete);
        }
        let place = flip.index(bytes.len());
        bytes[place] ^= 1 << bit;
        prop_assert!(!matches!(frame::decode(&bytes), Decoded::Frame(..)));
    }

    #[test]
    fn any_bytes_are_answered_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = frame::decode(&bytes);
    }
}

#[test]
fn a_segment_that_is_cut_anywhere_keeps_every_whole_record_before_the_cut() {
    let folder = folder();
    let journal = Journal::open(folder.path()).unwrap();
    let mut ends = vec![segment::MAGIC_LENGTH];
    for number in 1..=3 {
        let ticket = reserve(&journal, number);
        ends.push(journal.lag().bytes);
        if number != 2 {
            settle(&journal, ticket, number);
            ends.push(journal.lag().bytes);
        }
    }
    let file = segment::path(folder.path(), 1);
    let mut bytes = fs::read(&file).unwrap();
    // Behind them is room that was made and not used.
    let whole = usize::try_from(journal.lag().bytes).unwrap();
    assert!(bytes.iter().skip(whole).all(|byte| *byte == 0));
    bytes.truncate(whole + 100);
    // Records: reserve 1, settle 1, reserve 2, reserve 3, settle 3.
    let open_after = [vec![], vec![1], vec![], vec![2], vec![2, 3], vec![2]];
    for cut in 0..=bytes.len() {
        fs::write(&file, &bytes[..cut]).unwrap();
        let found = recovery::scan(folder.path(), super::position::Position::default()).unwrap();
        let whole = ends.iter().filter(|end| **end <= cut as u64).count();
        let expected = if whole == 0 {
            &open_after[0]
        } else {
            &open_after[whole - 1]
        };
        let open: Vec<u128> = found
            .unsettled
            .iter()
            .map(|one| u128::from_be_bytes(one.id))
            .collect();
        assert_eq!(&open, expected, "cut at {cut}");
    }
}

#[tokio::test]
async fn settled_rows_are_shipped_once_and_their_segments_deleted() {
    let folder = folder();
    let journal = Journal::open_with(folder.path(), segment::create, 300).unwrap();
    let events = Arc::new(MemoryEvents::default());
    let tasks = start(&journal, &events);
    for number in 1..=50 {
        let ticket = reserve(&journal, number);
        settle(&journal, ticket, number);
    }
    let rows = shipped(&events, 50).await;
    assert_eq!(rows.len(), 50);
    assert!(rows.iter().all(|row| row.outcome == Outcome::Ok));
    assert!(tasks.shutdown(SOON).await);
    assert_eq!((segments(folder.path()), journal.lag().rows), (1, 0));
    drop(journal);
    let journal = Journal::open(folder.path()).unwrap();
    let again = Arc::new(MemoryEvents::default());
    let tasks = start(&journal, &again);
    let ticket = reserve(&journal, 99);
    settle(&journal, ticket, 99);
    let rows = shipped(&again, 1).await;
    assert_eq!(rows[0].id, id(99).to_string());
    assert!(tasks.shutdown(SOON).await);
}

#[tokio::test]
async fn what_a_killed_process_left_open_is_billed_as_reserved_and_marked() {
    let folder = folder();
    {
        let journal = Journal::open(folder.path()).unwrap();
        let ticket = reserve(&journal, 1);
        reserve(&journal, 2);
        settle(&journal, ticket, 1);
    }
    // Killed again right after the next start: the row must not come twice under two names.
    drop(Journal::open(folder.path()).unwrap());
    let journal = Journal::open(folder.path()).unwrap();
    let events = Arc::new(MemoryEvents::default());
    let tasks = start(&journal, &events);
    let mut rows = shipped(&events, 2).await;
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    let outcomes: Vec<Outcome> = rows.iter().map(|row| row.outcome).collect();
    assert_eq!(outcomes, [Outcome::Ok, Outcome::Interrupted]);
    assert_eq!((rows[1].usage.input, rows[1].usage.output), (7, 3));
    assert!(!rows[1].error.is_empty());
    assert!(tasks.shutdown(SOON).await);
    assert_eq!(self::rows(&events).len(), 2);
}

#[tokio::test]
async fn a_reservation_that_was_renewed_is_billed_as_it_was_last_and_holds_no_earlier_segment() {
    let folder = folder();
    {
        let journal = Journal::open_with(folder.path(), segment::create, 150).unwrap();
        let mut ticket = reserve(&journal, 1);
        for input in 10..=20 {
            let mut row = row(1, Outcome::Interrupted);
            row.usage.input = input;
            ticket = journal.renew(ticket, id(1), &row).unwrap();
        }
        let closed = reserve(&journal, 2);
        settle(&journal, closed, 2);
        let events = Arc::new(MemoryEvents::default());
        let tasks = start(&journal, &events);
        shipped(&events, 1).await;
        assert!(tasks.shutdown(SOON).await);
        assert!(!segment::path(folder.path(), 1).exists());
    }
    let journal = Journal::open(folder.path()).unwrap();
    let events = Arc::new(MemoryEvents::default());
    let tasks = start(&journal, &events);
    let rows = shipped(&events, 1).await;
    assert_eq!((rows[0].outcome, rows[0].usage.input), (Outcome::Interrupted, 20));
    assert!(tasks.shutdown(SOON).await);
}

#[tokio::test(start_paused = true)]
async fn while_the_event_store_is_down_the_journal_grows_and_then_ships_everything() {
    let folder = folder();
    let journal = Journal::open_with(folder.path(), segment::create, 150).unwrap();
    let events = Arc::new(Flaky::default());
    events.down.store(true, Ordering::SeqCst);
    let tasks = Tasks::new();
    ship(&journal, Arc::clone(&events) as Arc<dyn Events>, &tasks);
    for number in 1..=20 {
        let ticket = reserve(&journal, number);
        settle(&journal, ticket, number);
    }
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(rows(&events.store).is_empty());
    assert_eq!(journal.lag().rows, 20);
    assert!(segments(folder.path()) > 5);
    events.down.store(false, Ordering::SeqCst);
    // The longest pause between two tries.
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(shipped(&events.store, 20).await.len(), 20);
    assert!(tasks.shutdown(SOON).await);
}

#[tokio::test]
async fn a_segment_with_an_open_reservation_is_kept() {
    let folder = folder();
    let journal = Journal::open_with(folder.path(), segment::create, 200).unwrap();
    let events = Arc::new(MemoryEvents::default());
    let open = reserve(&journal, 1);
    for number in 2..=9 {
        let ticket = reserve(&journal, number);
        settle(&journal, ticket, number);
    }
    let tasks = start(&journal, &events);
    shipped(&events, 8).await;
    assert!(tasks.shutdown(SOON).await);
    assert!(segment::path(folder.path(), 1).exists());
    settle(&journal, open, 1);
    let tasks = start(&journal, &events);
    shipped(&events, 9).await;
    assert!(tasks.shutdown(SOON).await);
    assert!(!segment::path(folder.path(), 1).exists());
}

fn full(_: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).open("/dev/full")
}

#[test]
fn a_full_disk_refuses_reservations_and_keeps_settlements_in_memory() {
    let folder = folder();
    let journal = Journal::open_with(folder.path(), full, 1_000).unwrap();
    let refused = journal.reserve(id(1), &row(1, Outcome::Interrupted)).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
    settle(&journal, Ticket::without(id(2)), 2);
    assert_eq!(journal.lag().deferred, 1);
    journal.sync();
    assert_eq!(journal.lag().deferred, 1, "it is still full");
}

#[tokio::test(start_paused = true)]
async fn settlements_that_waited_in_memory_are_written_when_the_disk_has_room_again() {
    fn sometimes(path: &Path) -> io::Result<File> {
        // Without its folder a segment cannot be made: a disk that takes nothing for a while.
        segment::create(path)
    }
    let outer = folder();
    let inner = outer.path().join("journal");
    let journal = Journal::open_with(&inner, sometimes, 1_000).unwrap();
    fs::remove_dir_all(&inner).unwrap();
    settle(&journal, Ticket::without(id(1)), 1);
    assert_eq!(journal.lag().deferred, 1);
    segment::make_folder(&inner).unwrap();
    let events = Arc::new(MemoryEvents::default());
    let tasks = start(&journal, &events);
    assert_eq!(shipped(&events, 1).await.len(), 1);
    assert!(tasks.shutdown(SOON).await);
}

#[tokio::test(start_paused = true)]
async fn one_row_that_cannot_be_stored_does_not_hold_up_the_others() {
    let folder = folder();
    let journal = Journal::open(folder.path()).unwrap();
    let picky = Arc::new(Flaky::default());
    picky.picky.store(true, Ordering::SeqCst);
    for number in 1..=9 {
        let ticket = reserve(&journal, number);
        settle(&journal, ticket, number);
    }
    let tasks = Tasks::new();
    ship(&journal, Arc::clone(&picky) as Arc<dyn Events>, &tasks);
    assert_eq!(shipped(&picky.store, 8).await.len(), 8);
    assert!(tasks.shutdown(SOON).await);
}

/// A store that is down, or refuses batches with the fifth row.
#[derive(Default)]
struct Flaky {
    store: MemoryEvents,
    down: AtomicBool,
    picky: AtomicBool,
}

#[async_trait::async_trait]
impl Events for Flaky {
    async fn append(&self, events: Vec<Event>) -> stead_kernel::Result<()> {
        if self.down.load(Ordering::SeqCst) {
            return Err(Error::unavailable("the store is down"));
        }
        let bad = id(5).to_string();
        let refused = events.iter().any(|event| match event {
            Event::Request(row) => row.id == bad,
            Event::Audit(_) => false,
        });
        if refused && self.picky.load(Ordering::SeqCst) {
            return Err(Error::invalid("the fifth"));
        }
        self.store.append(events).await
    }

    async fn requests(&self, query: RequestQuery) -> stead_kernel::Result<Page<RequestRow>> {
        self.store.requests(query).await
    }

    async fn request(&self, id: &str) -> stead_kernel::Result<Option<RequestRow>> {
        self.store.request(id).await
    }

    async fn usage(&self, query: UsageQuery) -> stead_kernel::Result<Vec<UsageRow>> {
        self.store.usage(query).await
    }

    async fn audit(&self, query: AuditQuery) -> stead_kernel::Result<Page<AuditRow>> {
        self.store.audit(query).await
    }
}

#[test]
fn what_waits_for_the_disk_takes_bounded_memory_and_refused_requests_only_half_of_it() {
    let folder = folder();
    let journal = Journal::open_with(folder.path(), full, 1_000).unwrap();
    let refused = |number| RequestRow {
        input: Some("x".repeat(1 << 16)),
        error: "e".repeat(6_000),
        ..row(number, Outcome::Error)
    };
    for number in 0..4_000 {
        journal.settle(Ticket::without(id(number)), &refused(number));
    }
    let waiting = journal.lag().deferred;
    assert!(
        (2_000..3_000).contains(&waiting),
        "{waiting}: half of 32 MiB, without bodies"
    );
    journal.settle(Ticket::at(id(1), 7), &row(1, Outcome::Ok));
    assert_eq!(
        journal.lag().deferred,
        waiting + 1,
        "what was answered has its own room"
    );
}

#[tokio::test]
async fn an_interrupted_request_keeps_its_segment_until_its_end_is_written() {
    let folder = folder();
    {
        let journal = Journal::open_with(folder.path(), segment::create, 200).unwrap();
        reserve(&journal, 1);
        let ticket = reserve(&journal, 2);
        settle(&journal, ticket, 2);
    }
    // The next process finds a full disk, ships what there is and is killed.
    let journal = Journal::open_with(folder.path(), full, 200).unwrap();
    assert_eq!(journal.lag().deferred, 1);
    let events = Arc::new(MemoryEvents::default());
    let tasks = start(&journal, &events);
    shipped(&events, 1).await;
    assert!(tasks.shutdown(SOON).await);
    drop(journal);
    let journal = Journal::open(folder.path()).unwrap();
    let tasks = start(&journal, &events);
    let rows = shipped(&events, 2).await;
    assert!(rows.iter().any(|row| row.outcome == Outcome::Interrupted));
    assert!(tasks.shutdown(SOON).await);
}

#[tokio::test]
async fn a_leftover_file_and_a_missing_one_stop_neither_writing_nor_shipping() {
    let folder = folder();
    let journal = Journal::open_with(folder.path(), segment::create, 200).unwrap();
    fs::write(segment::path(folder.path(), 1), "left").unwrap();
    assert!(journal.reserve(id(1), &row(1, Outcome::Interrupted)).is_err());
    for number in 2..=6 {
        let ticket = reserve(&journal, number);
        settle(&journal, ticket, number);
    }
    fs::remove_file(segment::path(folder.path(), 2)).unwrap();
    let events = Arc::new(MemoryEvents::default());
    let tasks = start(&journal, &events);
    poll_until(SOON, "the last row", async || {
        let rows = rows(&events);
        rows.iter().any(|row| row.id == id(6).to_string()).then_some(())
    })
    .await;
    assert!(tasks.shutdown(SOON).await);
}

//! What a start finds in the journal's folder.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::Path,
};

use super::{
    frame::{Id, Kind},
    position::Position,
    segment::{self, Reader},
};

/// What the segments of earlier processes say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// How far each segment is whole, in bytes.
    pub(super) segments: BTreeMap<u64, u64>,
    /// Reservations that were never settled, oldest first.
    pub(super) unsettled: Vec<Unsettled>,
    /// Settled rows that are not shipped yet.
    pub(super) unshipped: u64,
}

/// A reservation that was never settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unsettled {
    pub(super) id: Id,
    /// Where it lies.
    pub(super) segment: u64,
    /// The row to bill.
    pub(super) payload: Vec<u8>,
}

/// Reads all segments. A torn end (a killed process or machine) is left out and said in the log.
pub(super) fn scan(folder: &Path, shipped: Position) -> io::Result<Found> {
    let mut found = Found::default();
    let mut open: HashMap<Id, (u64, Unsettled)> = HashMap::new();
    let mut order = 0;
    for number in segment::list(folder)? {
        let path = segment::path(folder, number);
        let mut reader = Reader::open(&path, 0, u64::MAX)?;
        loop {
            let place = Position {
                segment: number,
                offset: reader.offset(),
            };
            let next = reader.next(|frame| match frame.kind {
                Kind::Reservation => {
                    order += 1;
                    let unsettled = Unsettled {
                        id: frame.id,
                        segment: number,
                        payload: frame.payload.to_vec(),
                    };
                    open.insert(frame.id, (order, unsettled));
                }
                Kind::Settlement => {
                    open.remove(&frame.id);
                    found.unshipped += u64::from(place >= shipped);
                }
            })?;
            if next.is_none() {
                break;
            }
        }
        let whole = reader.offset();
        if !reader.is_blank()? {
            let torn = path.metadata()?.len() - whole;
            tracing::warn!(
                segment = number,
                torn,
                "the end of a journal segment is torn; it was never acknowledged"
            );
        }
        found.segments.insert(number, whole);
    }
    let mut unsettled: Vec<(u64, Unsettled)> = open.into_values().collect();
    unsettled.sort_by_key(|(order, _)| *order);
    found.unsettled = unsettled.into_iter().map(|(_, one)| one).collect();
    Ok(found)
}

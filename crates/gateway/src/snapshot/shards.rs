//! A map in many shared pieces: a change copies one piece, a copy of the map shares them all.

use std::{borrow::Borrow, collections::HashMap, hash::Hash, sync::Arc};

/// How many pieces a map has.
const SHARDS: usize = 256;

/// A map whose copies share what did not change.
pub(crate) struct Shards<K, V> {
    pieces: Arc<[Arc<HashMap<K, V>>]>,
    /// Maps a key to its piece.
    place: fn(&[u8]) -> u8,
}

impl<K, V> Clone for Shards<K, V> {
    fn clone(&self) -> Self {
        Self {
            pieces: Arc::clone(&self.pieces),
            place: self.place,
        }
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Shards<K, V> {
    /// An empty map; `place` spreads keys evenly over 256 pieces.
    pub(crate) fn new(place: fn(&[u8]) -> u8) -> Self {
        let empty = Arc::new(HashMap::new());
        Self {
            pieces: (0..SHARDS).map(|_| Arc::clone(&empty)).collect(),
            place,
        }
    }

    /// The value of a key.
    pub(crate) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + AsRef<[u8]> + ?Sized,
    {
        let place = usize::from((self.place)(key.as_ref()));
        self.pieces.get(place)?.get(key)
    }

    /// The piece that a key lies in, for a change; copied only while another copy of the map shares it.
    pub(crate) fn piece(&mut self, key: &[u8]) -> Option<&mut HashMap<K, V>> {
        let place = usize::from((self.place)(key));
        Arc::make_mut(&mut self.pieces).get_mut(place).map(Arc::make_mut)
    }

    /// How many values each piece has.
    #[cfg(test)]
    pub(crate) fn sizes(&self) -> impl Iterator<Item = usize> {
        self.pieces.iter().map(|piece| piece.len())
    }

    /// How many pieces two copies share.
    #[cfg(test)]
    pub(crate) fn shared_with(&self, other: &Self) -> usize {
        let pairs = self.pieces.iter().zip(other.pieces.iter());
        pairs.filter(|(one, two)| Arc::ptr_eq(one, two)).count()
    }

    /// All values.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.pieces.iter().flat_map(|piece| piece.values())
    }
}

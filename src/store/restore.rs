//! What a producer knows of a generation that its store has lost.

use super::values::Start;

/// Puts back a generation whose record the store has lost (a restart without persistence, a failover, an eviction).
///
/// If the store has an older generation (its producer, which was taken over, was faster to restore it, or the takeover itself
/// was lost), that one is ended as `interrupted` / `superseded`. Of two generations, the older one has the lower ordinal or,
/// with equal ordinals, the lower id. But one whose id names a later time is not older, whatever its ordinal: it began when
/// there was no record from which to continue counting.
///
/// If the generation is there with a producer that this one has replaced, which was faster or whose replacement was lost, that one is
/// fenced again: what it has written since is dropped, and with it whatever cannot be told from that.
///
/// Does nothing and answers as [`Store::append`](super::Store::append) would when the generation itself, or a later one, is there after all.
#[derive(Debug, Clone)]
pub struct Restore {
    /// What the generation was started with; `if_active` and `if_ended` are ignored.
    pub start: Start,
    /// The generation's ordinal.
    pub ordinal: u64,
    /// The seq before the generation's first chunk.
    pub base: u64,
    /// The seq before the first chunk that the producer can still write again. Chunks between `base` and it are gone,
    /// which readers find out for themselves.
    pub seq: u64,
    /// [`Started::turn`](super::Started::turn) of the producer.
    pub turn: u64,
    /// [`Started::seq`](super::Started::seq) of the producer: what follows in its generation is its own.
    pub own_after: u64,
}

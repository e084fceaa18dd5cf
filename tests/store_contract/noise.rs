//! Random choices that a failed run can repeat: `TIDEMARK_SEED=<printed seed>`.

use tidemark::model::frame::{EncodedFrame, FrameBuilder, Kind};

pub type Chunk = (Kind, Vec<u8>);

/// The seed of this run, printed.
pub fn seed() -> u64 {
    let seed = match std::env::var("TIDEMARK_SEED") {
        Ok(text) => text.parse().expect("TIDEMARK_SEED is a number"),
        Err(_) => ulid::Ulid::new().timestamp_ms(),
    };
    println!("TIDEMARK_SEED={seed}");
    seed
}

/// `splitmix64`: a run is repeated by its seed.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `bound`.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the remainder is a usize, as its bound"
    )]
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// Anything that may be a chunk.
    pub fn chunk(&mut self) -> Chunk {
        match self.below(40) {
            0 => (Kind::Text, Vec::new()),
            1 => (Kind::Bytes, vec![0xff]),
            2 => (Kind::Text, "🌊 ünï\0 世界".repeat(self.below(50)).into_bytes()),
            3 => (Kind::Bytes, (0..self.below(5000)).map(|_| self.byte()).collect()),
            4 if self.one_in(20) => (Kind::Bytes, vec![b'z'; 1 << 20]),
            5 => (Kind::Text, vec![b'a'; self.below(20_000)]),
            _ => {
                let text = format!(
                    r#"{{"type":"text-delta","id":"0","delta":" word{}"}}"#,
                    self.below(99)
                );
                (Kind::Text, text.into_bytes())
            }
        }
    }

    /// Some chunks as a frame, and themselves.
    pub fn frame(&mut self) -> (EncodedFrame, Vec<Chunk>) {
        let count = if self.one_in(3) { 1 + self.below(20) } else { 1 };
        let chunks: Vec<_> = (0..count).map(|_| self.chunk()).collect();
        let mut builder = FrameBuilder::default();
        for (kind, data) in &chunks {
            builder.push(*kind, data);
        }
        (
            builder.take(usize::MAX, usize::MAX).expect("at least one chunk"),
            chunks,
        )
    }
}

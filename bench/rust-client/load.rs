//! What a live run is given: the same numbers as `bench/live/load.mjs`.

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Load {
    pub url: String,
    pub streams: u32,
    pub per_turn: u32,
    pub turn_ms: f64,
    pub fan: u32,
    warm_up_seconds: f64,
    seconds: f64,
}

impl Load {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a run has some thousand turns"
    )]
    fn turns_of(&self, seconds: f64) -> u32 {
        (seconds * 1000.0 / self.turn_ms).round() as u32
    }

    pub fn warm_up_turns(&self) -> u32 {
        self.turns_of(self.warm_up_seconds)
    }

    pub fn turns(&self) -> u32 {
        self.warm_up_turns() + self.turns_of(self.seconds)
    }

    /// Chunks of one stream.
    pub fn chunks_of(&self, index: u32) -> u32 {
        (self.turns() * self.per_turn)
            .saturating_sub(index)
            .div_ceil(self.streams)
    }

    /// Whether a chunk is offered after the warm-up.
    pub fn is_measured(&self, index: u32, number: u32) -> bool {
        (number - 1) * self.streams + index >= self.warm_up_turns() * self.per_turn
    }
}

pub fn stream_id(index: u32) -> String {
    format!("live-{index}")
}

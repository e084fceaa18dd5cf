//! The numbers that both sides of the boundary have to know; `ts/native/native.ts` has the same and says what they mean. A test
//! compares the two (`__test__/native/boundary.test.mjs`).

use crate::engine::produce::producer;

macro_rules! shared {
    ($($name:ident = $value:expr;)*) => {
        $(pub const $name: u32 = $value;)*

        /// All of them, by name.
        pub const ALL: &[(&str, u32)] = &[$((stringify!($name), $name)),*];
    };
}

shared! {
    CHUNK_COST = producer::CHUNK_COST;
    ACK_COST = producer::ACK_COST;
    WORDS = 4096;
    HEADER = 2;

    PAGE = 0;

    MORE = 1;
    BYTES = 2;
    IDLE = 4;
    LARGES = 8;

    DATA = 1;
    SETTLED = 2;
    GENERATION = 3;
    END = 4;
    REPLY = 5;
    PRODUCER = 6;
    STATE = 7;
    WARNING = 8;
    ASK = 9;
    LARGE = 10;
    LOG = 11;
    PIECE = 12;
}

//! What holds for any bytes. Also run by `tests/frame_decoder.rs`, without a fuzzer.

use tidemark::model::frame::{Frame, MAX_INLINE, SealedFrame};

/// Decodes the bytes, and looks at what comes of it.
pub fn decode(last: u64, bytes: Vec<u8>) {
    let Ok(frame) = Frame::decode(last, bytes.into()) else {
        return;
    };
    assert_eq!(frame.last(), last);
    assert!(frame.first() >= 1 && frame.first() <= last);
    let chunks: Vec<_> = frame.chunks().collect();
    assert_eq!(chunks.len() as u64, last - frame.first() + 1);
    assert!(chunks.iter().all(|chunk| chunk.data.len() <= MAX_INLINE));

    let sealed = SealedFrame::of(std::slice::from_ref(&frame), 1).expect("there is one");
    assert!(sealed.bytes.len() <= frame.size());
    let again = Frame::decode(last, sealed.bytes).expect("what was sealed is a frame");
    assert!(again.chunks().eq(chunks));
}

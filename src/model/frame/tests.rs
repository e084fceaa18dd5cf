use super::*;

fn sample() -> FrameBuilder {
    let mut builder = FrameBuilder::default();
    builder.push(Kind::Text, "héllo".as_bytes());
    builder.push(Kind::Bytes, &[0, 255, 13, 10]);
    builder.push(Kind::Text, b"");
    builder
}

#[test]
fn a_frame_round_trips() {
    let encoded = sample().take(9, 999).unwrap();
    let frame = Frame::decode(7, encoded.bytes.clone()).unwrap();
    assert_eq!((frame.first(), frame.last()), (5, 7));
    let chunks: Vec<_> = frame.chunks().map(|c| (c.kind, c.data.to_vec())).collect();
    assert_eq!(
        chunks,
        [
            (Kind::Text, "héllo".as_bytes().to_vec()),
            (Kind::Bytes, vec![0, 255, 13, 10]),
            (Kind::Text, vec![])
        ]
    );
    let placed: Vec<_> = encoded.at(5).chunks().map(|c| c.data.to_vec()).collect();
    assert_eq!(placed.len(), 3);
}

#[test]
fn a_batch_is_bounded_by_count_and_bytes() {
    let mut builder = sample();
    assert_eq!(builder.take(1, 999).unwrap().count, 1);
    assert_eq!(builder.take(9, 1).unwrap().count, 1, "one chunk always fits");
    assert_eq!(builder.take(9, 1).unwrap().count, 1);
    assert!(builder.take(9, 1).is_none());
}

#[test]
fn damaged_frames_are_refused() {
    let good = sample().take(9, 999).unwrap().bytes.to_vec();
    for cut in 0..good.len() {
        assert!(
            Frame::decode(9, good[..cut].to_vec().into()).is_err(),
            "cut at {cut}"
        );
    }
    let mut codec = good.clone();
    codec[0] = 9;
    assert!(Frame::decode(9, codec.into()).is_err());
    let mut utf8 = good.clone();
    *utf8.iter_mut().find(|b| **b == 0xc3).unwrap() = 0xff;
    assert!(Frame::decode(9, utf8.into()).is_err());
    assert!(Frame::decode(2, good.into()).is_err(), "more chunks than seqs");
    assert!(Frame::decode(u64::MAX, vec![0, 255, 255, 255, 255, 255, 1].into()).is_err());
}

fn words(first: u64, count: u64) -> Frame {
    let mut builder = FrameBuilder::default();
    for n in first..first + count {
        let text = format!(r#"{{"type":"text-delta","id":"0","delta":" word{}"}}"#, n % 7);
        builder.push(Kind::Text, text.as_bytes());
    }
    builder.take(usize::MAX, usize::MAX).unwrap().at(first)
}

#[test]
fn sealed_frames_are_one_and_smaller() {
    let frames = [words(1, 3), words(4, 1), words(5, 60)];
    let sealed = SealedFrame::of(&frames, 6).unwrap();
    assert_eq!((sealed.count, sealed.bytes[0]), (64, GZIP));
    assert!(sealed.bytes.len() * 4 < sealed.body_len);
    let one = Frame::decode(64, sealed.bytes).unwrap();
    assert_eq!((one.first(), one.last()), (1, 64));
    let chunks: Vec<_> = frames.iter().flat_map(Frame::chunks).collect();
    assert_eq!(one.chunks().collect::<Vec<_>>(), chunks);
    assert!(SealedFrame::of(&[], 6).is_none());
}

#[test]
fn a_frame_that_gzip_makes_larger_stays_plain() {
    for data in [&b""[..], b"a", "😀".as_bytes(), &[7; 30]] {
        let mut builder = FrameBuilder::default();
        builder.push(Kind::Bytes, data);
        let frame = builder.take(1, 1).unwrap().at(1);
        let sealed = SealedFrame::of(std::slice::from_ref(&frame), 9).unwrap();
        assert!(sealed.bytes.len() <= frame.size());
        let one = Frame::decode(1, sealed.bytes).unwrap();
        assert_eq!(one.chunks().next().unwrap().data, data);
    }
}

#[test]
fn a_sealed_frame_is_bounded() {
    let frame = |chunks: usize, length: usize| {
        let mut builder = FrameBuilder::default();
        for _ in 0..chunks {
            builder.push(Kind::Bytes, &vec![0; length]);
        }
        builder.take(usize::MAX, usize::MAX).unwrap().at(1)
    };
    let sealed = |frame, count| SealedFrame::of(&vec![frame; count], 1).unwrap();
    for (what, sealed, count) in [
        ("a fourth would pass 256 KiB", sealed(frame(1, 80_000), 6), 3),
        ("frames", sealed(frame(1, 0), 600), 512),
        ("chunks", sealed(frame(512, 0), 200), 1 << 16),
        ("the longest chunk", sealed(frame(1, MAX_INLINE), 2), 1),
        ("a frame of many chunks", sealed(frame(100_000, 1), 2), 100_000),
    ] {
        assert_eq!(sealed.count, count, "{what}");
        assert_eq!(inflates_to(&sealed.bytes), sealed.body_len, "{what}");
        assert!(Frame::decode(1 << 20, sealed.bytes).is_ok(), "{what}");
    }
}

#[test]
fn what_is_taken_and_looked_at_is_what_was_pushed() {
    let mut builder = FrameBuilder::default();
    let (mut pushed, mut taken) = (0_u32, 0_u32);
    // The queue wraps around within its memory, again and again.
    for round in 0..2000_u32 {
        for _ in 0..round % 7 {
            builder.push(Kind::Bytes, &vec![pushed.to_le_bytes()[0]; pushed as usize % 50]);
            pushed += 1;
        }
        let skipped = builder.count().min(round as usize % 3);
        let skipped_bytes = (taken..).take(skipped).map(|number| number as usize % 50).sum();
        let rest = builder.peek(skipped, skipped_bytes);
        let rest = rest.map(|frame| frame.at(1));
        let expected = |number: u32| vec![number.to_le_bytes()[0]; number as usize % 50];
        let seen: Vec<_> = rest
            .iter()
            .flat_map(Frame::chunks)
            .map(|chunk| chunk.data.to_vec())
            .collect();
        let first = taken + u32::try_from(skipped).unwrap();
        assert_eq!(seen, (first..pushed).map(expected).collect::<Vec<_>>());
        if let Some(frame) = builder.take(2, usize::MAX) {
            for chunk in frame.at(1).chunks() {
                assert_eq!(chunk.data, expected(taken));
                taken += 1;
            }
        }
    }
    assert!(taken > 3000, "{taken}");
}

#[test]
fn damaged_gzip_is_refused() {
    let good = SealedFrame::of(&[words(1, 64)], 6).unwrap().bytes.to_vec();
    for at in 0..good.len() {
        assert!(
            Frame::decode(64, good[..at].to_vec().into()).is_err(),
            "cut at {at}"
        );
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        // Some bits of gzip's own header mean nothing; then nothing has changed.
        if let Ok(frame) = Frame::decode(64, bad.into()) {
            assert!(frame.chunks().eq(words(1, 64).chunks()), "changed at {at}");
        }
    }
    assert!(
        Frame::decode(64, [&good[..], b"x"].concat().into()).is_err(),
        "a rest"
    );
}

#[test]
fn inflation_stops_at_what_is_declared() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&vec![0; 8 << 20]).unwrap();
    let gzip = encoder.finish().unwrap();
    let bomb = |declared: u64| {
        let mut bytes = vec![GZIP, 1];
        put_varint(&mut bytes, declared);
        bytes.extend_from_slice(&gzip);
        Frame::decode(1, bytes.into())
    };
    for declared in [0, 1000, MAX_BODY as u64, MAX_BODY as u64 + 1, u64::from(u32::MAX)] {
        assert!(bomb(declared).is_err(), "{declared}");
    }
}

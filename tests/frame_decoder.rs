//! The fuzz target's check (`fuzz/`) on seeded noise and on frames that were damaged.

#[path = "../fuzz/fuzz_targets/check.rs"]
mod check;
#[path = "store_contract/noise.rs"]
mod noise;

use noise::Random;
use tidemark::model::frame::{Frame, SealedFrame};

#[test]
fn noise_is_refused_or_a_frame() {
    let mut random = Random(noise::seed());
    for _ in 0..100_000 {
        let mut bytes: Vec<u8> = (0..random.below(60)).map(|_| random.byte()).collect();
        if let Some(codec) = bytes.first_mut() {
            *codec %= 3;
        }
        let last = random.next() >> random.below(64);
        check::decode(last, bytes);
    }
}

#[test]
fn damaged_frames_are_refused_or_frames() {
    let mut random = Random(noise::seed());
    for _ in 0..1500 {
        let (mut frames, mut last) = (Vec::new(), 0);
        for _ in 0..=random.below(10) {
            let (frame, _) = random.frame();
            frames.push(frame.at(last + 1));
            last += frame.count;
        }
        let sealed = SealedFrame::of(&frames, 6).unwrap();
        let (last, good) = (sealed.count, sealed.bytes.to_vec());
        assert_eq!(Frame::decode(last, good.clone().into()).unwrap().first(), 1);
        for _ in 0..10 {
            let mut bytes = good.clone();
            for _ in 0..=random.below(3) {
                damage(&mut random, &mut bytes);
            }
            check::decode(last, bytes);
        }
    }
}

fn damage(random: &mut Random, bytes: &mut Vec<u8>) {
    let length = bytes.len();
    if length == 0 {
        return;
    }
    // The header is a few bytes of many, and the part that has most to say.
    let end = if random.one_in(2) { length.min(8) } else { length };
    let at = random.below(end);
    match random.below(4) {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, random.byte()),
        2 => bytes[at] = random.byte(),
        _ => bytes[at] ^= 1 << random.below(8),
    }
}
